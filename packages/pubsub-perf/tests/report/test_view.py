"""A report over HTTP: served files, other files, and the end of the command."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from support.perf_browser import Browser
from support.perf_sweeps import write_sweep

from pubsub_common.errors import ConfigError
from pubsub_common.net.http_server import HttpServer
from pubsub_perf import cli
from pubsub_perf.plan import topologies
from pubsub_perf.report.served_files import ReportFiles
from pubsub_perf.report.writer import write_report

PROGRAM = Path(sys.executable).with_name("pubsub-perf")
HOST = "127.0.0.1"


class Reply(NamedTuple):
    status: int
    kind: str
    policy: str
    body: bytes


def ask(url: str, path: str, method: str = "GET") -> Reply:
    """The response for exactly this path, which no library normalises."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=100)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        kind, policy = (
            response.headers[name]
            for name in ("Content-Type", "Content-Security-Policy")
        )
        return Reply(response.status, kind, policy, response.read())
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a report, data beside it, and a secret beside the folder."""
    folder = tmp_path / "sweep"
    for name in ("report.html", "report.md", "analysis.html", "analysis.json"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"this is {name}")
    (folder / "plots").mkdir()
    (folder / "plots/tree-d2f2-4hosts-box.svg").write_text("<svg/>")
    (folder / "plots/hosts.png").write_bytes(b"\x89PNG")
    (folder / "plots/notes.txt").write_text("mine")
    (folder / "data").mkdir()
    (folder / "data/subscriber-0.csv").write_text("1,2,3")
    (tmp_path / "secret.html").write_text("secret")
    return folder


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with HttpServer(HOST, 0, ReportFiles(folder), "pubsub-perf") as server:
        yield f"http://{HOST}:{server.port}/"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/report.html", "text/html; charset=utf-8"),
        ("/report.md", "text/markdown; charset=utf-8"),
        ("/analysis.html", "text/html; charset=utf-8"),
        ("/analysis.json", "application/json"),
        ("/plots/hosts.png", "image/png"),
        ("/plots/tree-d2f2-4hosts-box.svg", "image/svg+xml"),
        ("/plots/tree%2Dd2f2-4hosts-box.svg?again", "image/svg+xml"),
    ],
)
def test_each_file_of_a_report_has_its_type(
    folder: Path, url: str, path: str, kind: str
) -> None:
    reply = ask(url, path)
    name = path.partition("?")[0].replace("%2D", "-")
    assert (reply.status, reply.kind) == (200, kind)
    assert reply.body == (folder / name[1:]).read_bytes()
    assert ("script-src" in reply.policy) == name.endswith(".html")
    assert reply.policy.startswith("default-src 'none'; ")


def test_the_folder_itself_is_the_page(folder: Path, url: str) -> None:
    assert ask(url, "/").body == b"this is report.html"
    (folder / "report.html").unlink()
    assert ask(url, "/").body == b"this is analysis.html"
    (folder / "analysis.html").unlink()
    assert ask(url, "/").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html",
        "/plots/../../secret.html",
        "/plots/..%2f..%2fsecret.html",
        "/%2e%2e/secret.html",
        "//etc/passwd",
        "/etc/passwd",
        "/plots",
        "/plots/",
        "/plots/notes.txt",
        "/plots/gone.png",
        "/data/subscriber-0.csv",
        "/data/",
        "/.",
        "/report.html/",
        "/report.html%00",
        "/report.html%0a",
        "/analysis.md",
    ],
)
def test_nothing_else_is_shown(url: str, path: str) -> None:
    reply = ask(url, path)
    assert reply.status == 404
    assert b"secret" not in reply.body


def test_a_link_that_leads_out_of_the_folder_is_not_followed(
    folder: Path, url: str
) -> None:
    (folder / "analysis.md").symlink_to(folder.parent / "secret.html")
    assert ask(url, "/analysis.md").status == 404
    (folder / "analysis.md").unlink()
    (folder / "analysis.md").symlink_to(folder / "report.md")
    assert ask(url, "/analysis.md").body == b"this is report.md"


def test_only_reading_is_possible(url: str) -> None:
    assert ask(url, "/report.html", "DELETE").status == 405


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "no folder"])
def test_a_folder_without_a_report_is_one_line_that_tells_what_makes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exists: bool
) -> None:
    folder = tmp_path / "sweep"
    if exists:
        folder.mkdir()
    assert cli.main(["view", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"pubsub-perf: no report in {folder}")
    assert "`pubsub-perf plot" in err
    assert err.count("\n") == 1
    with pytest.raises(ConfigError):
        ReportFiles(folder)


@pytest.mark.parametrize(
    "words", [["--port", "70000"], ["--port", "x"], ["--bind", "a b"], ["--wrong"]]
)
def test_options_that_make_no_sense_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    try:
        code: object = cli.main(["view", str(folder), *words])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)


class Viewer(NamedTuple):
    """A running `pubsub-perf view`."""

    process: subprocess.Popen[str]
    url: str


@pytest.fixture
def viewer(folder: Path) -> Iterator[Viewer]:
    with subprocess.Popen(
        [PROGRAM, "view", folder, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Viewer(process, process.stdout.readline().rstrip("\n"))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_where_it_is_and_ends_quietly(
    viewer: Viewer, number: signal.Signals
) -> None:
    assert ask(viewer.url, "/").body == b"this is report.html"
    viewer.process.send_signal(number)
    out, err = viewer.process.communicate(timeout=100)
    assert (viewer.process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_one_line(viewer: Viewer, folder: Path) -> None:
    port = str(urlsplit(viewer.url).port)
    done = subprocess.run(
        [PROGRAM, "view", folder, "--port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"pubsub-perf: cannot serve HTTP on 127.0.0.1:{port}: Address already in use; "
        "another program listens there: choose another port\n"
    )


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with its report, as `plot` writes it."""
    networks = (topologies.single_switch(4), topologies.tree(2, 2))
    folder = write_sweep(tmp_path_factory.mktemp("sweep"), networks, runs=2, events=8)
    write_report(folder)
    return folder


def test_a_browser_sees_the_report_as_from_the_file(
    browser: Browser, reported: Path
) -> None:
    command = [str(PROGRAM), "view", str(reported), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().rstrip("\n")
            browser.open(url)
            title = browser.evaluate("document.title")
            assert title == f"Latency report: {reported.name}"
            widths = browser.evaluate("[...document.images].map(i => i.naturalWidth)")
            assert len(widths) == len(list((reported / "plots").glob("*.png"))) > 4
            assert min(widths) > 150
            button = "#results ~ .scroll thead button"
            browser.evaluate(f"document.querySelector({button!r}).click()")
            sorted_by = f"document.querySelector({button!r}).parentElement.ariaSort"
            assert browser.evaluate(sorted_by) in ("ascending", "descending")
            assert browser.complaints() == []
            assert [one for one in browser.requests() if "favicon" not in one] == [url]
            for path in sorted((reported / "plots").glob("*.svg"))[:2]:
                browser.open(f"{url}plots/{path.name}")
                assert browser.complaints() == []
        finally:
            process.terminate()
    assert process.returncode == 0


def test_what_is_no_plain_file_is_left_out_with_a_word(
    folder: Path, url: str, tmp_path: Path
) -> None:
    os.mkfifo(folder / "analysis.md")
    (folder / "report.md").unlink()
    (folder / "report.md").symlink_to("/dev/zero")
    (folder / "plots" / "ecdf.png").symlink_to(tmp_path / "secret.html")
    (folder / "plots" / "box.svg").symlink_to("hosts.png")

    for path in ("/analysis.md", "/report.md", "/plots/ecdf.png"):
        assert ask(url, path).status == 404
    assert ask(url, "/plots/box.svg").status == 200

    assert list(ReportFiles(folder).left_out()) == [
        "analysis.md is left out: it is not a plain file",
        "plots/ecdf.png is left out: it is a link out of the folder",
        "report.md is left out: it is not a plain file",
    ]


def test_a_page_elsewhere_is_no_report(folder: Path, tmp_path: Path) -> None:
    for name in ("report.html", "analysis.html"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "secret.html")

    with pytest.raises(ConfigError, match=r"no report in"):
        ReportFiles(folder)
