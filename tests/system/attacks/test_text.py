"""Text and files from attackers: their effect on a terminal, a log, a spreadsheet and a
disk."""

from __future__ import annotations

import csv
import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from support.attack_rows import attack
from support.hostile_system import HostileSystem
from support.running_roles import WAIT_S

from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

FORGED = "\r\nA 10.9.9.9:1 5 us forged\u2028\u202e\x9b2J\x1b]0;pwned\x07"
TOPIC = "x\u202eevil\u2028"
FORMULA = "=1-1|cmd"


def unshown(text: str) -> list[str]:
    """The lines of a text that would have an effect on a terminal."""
    return [line for line in text.split("\n") if not line.rstrip("\r").isprintable()]


class Terminal:
    """A terminal, for the standard output of a program."""

    def __init__(self) -> None:
        self._ours, self.its = pty.openpty()
        self.text = ""

    def until(self, text: str) -> str:
        """The output until ``text`` is in it."""
        while text not in self.text:
            assert select.select([self._ours], [], [], WAIT_S)[0], self.text
            self.text += os.read(self._ours, 65536).decode()
        return self.text

    def close(self) -> None:
        os.close(self._ours)
        os.close(self.its)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@contextmanager
def mallory(hostile: HostileSystem) -> Iterator[Publisher]:
    """An enrolled, hostile publisher."""
    keys = hostile.vault.path("mallory") if hostile.vault else None
    publisher = Publisher(
        topics=["A", TOPIC, FORMULA],
        broker_port=hostile.port,
        keys=keys,
        bind_port=0,
        indefinite=True,
    )
    with publisher:
        yield publisher


@attack(
    what="control characters, line breaks and direction marks in payloads and topics",
    got="shown escaped at terminals, in logs, in `status`",
)
def test_text_that_controls_a_terminal(
    hostile: HostileSystem, terminal: Terminal
) -> None:
    broker = hostile.broker()
    words = ["-t", "A", "-t", TOPIC, "--broker-port", hostile.port, "-v"]
    words += hostile.key_words("bob")
    with mallory(hostile) as publisher:
        shown = hostile.program("pubsub-subscriber", *words, stdout=terminal.its)
        piped = hostile.program("pubsub-subscriber", *words, "--raw", "-0")
        publisher.wait_for_subscribers(2, WAIT_S)
        publisher.publish_event("A", FORGED.encode())
        publisher.publish_event(TOPIC, FORGED.encode())
        publisher.publish_event("A", b"the end")

        seen = terminal.until("the end")
        assert piped.process.stdout is not None
        raw = b""
        while b"the end\0" not in raw:
            raw += os.read(piped.process.stdout.fileno(), 65536)
        status = subprocess.run(
            [
                *(Path(sys.executable).with_name("pubsub-broker"), "status"),
                *("--broker-port", str(hostile.port), *hostile.key_words("carol")),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT_S,
        )

    assert unshown(seen) == []
    assert seen.count("\n") == 3
    assert r"A 10.9.9.9:1 5 us forged\u2028\u202e\x9b2J\x1b]0;pwned\x07" in seen
    assert raw.split(b"\0").count(FORGED.encode()) == 2
    assert unshown(status.stdout) == []
    assert r"x\u202eevil\u2028" in status.stdout
    wait_for(lambda: broker.err.count("joined") >= 3)
    for program in (broker, shown, piped):
        assert unshown(program.err) == []
    assert broker.end() == 0


@attack(
    what="a publisher's name in events that is long, has several lines, or is a "
    "formula",
    got="the frames are dropped and counted as malformed",
    bound="`MAX_PUBLISHER_LENGTH`",
)
@pytest.mark.parametrize("name", ["p" * 70_000, "10.9.9.9:1\nA forged", FORMULA])
def test_names_of_publishers(hostile: HostileSystem, name: str) -> None:
    hostile.broker()
    details = hostile.folder / "latencies.csv"
    words = ["-t", "A", "--broker-port", hostile.port, "-m", 2, "-f", details]
    with mallory(hostile) as publisher:
        bob = hostile.program(
            "pubsub-subscriber", *words, *hostile.key_words("bob"), "-v"
        )
        publisher.wait_for_subscribers(1, WAIT_S)
        core = publisher._runtime.core
        own = core.address
        for said, count in ((own, 1), (name, 3), (own, 1)):
            core.address = said
            for _ in range(count):
                publisher.publish_event("A", b"x")
        assert bob.process.wait(WAIT_S) == 0

    assert "3 malformed" in bob.err
    assert unshown(bob.err) == []
    with details.open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows[1:]] == [[own, "A"]] * 2


@attack(
    what="a topic that a spreadsheet would run as a formula",
    got="escaped in the CSV files of `--safe-csv`; others hold the unchanged topic",
)
def test_formulas(hostile: HostileSystem) -> None:
    hostile.broker()
    found = []
    for more in ([], ["--safe-csv"]):
        path = hostile.folder / f"latencies{len(more)}.csv"
        words = ["-t", FORMULA, "--broker-port", hostile.port, "-m", 1, "-f", path]
        with mallory(hostile) as publisher:
            bob = hostile.program(
                "pubsub-subscriber", *words, *more, *hostile.key_words("bob")
            )
            publisher.wait_for_subscribers(1, WAIT_S)
            publisher.publish_event(FORMULA, b"x")
            assert bob.process.wait(WAIT_S) == 0, bob.err
        with path.open(newline="") as file:
            found.append(list(csv.reader(file))[1][1])

    assert found == [FORMULA, f"'{FORMULA}"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Another user's sweep folder; ``secret`` and ``victim`` are next to it."""
    folder = tmp_path / "sweep"
    cell = folder / "data" / "centralized" / "tree-d2f2-4hosts"
    cell.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "cell.json").write_text(json.dumps({"format": 1, "reason": "secret"}))
    (cell / "subscriber-0.csv").write_text("10.0.0.2:5556,A,0.001\n" * 20)
    (cell / "cell.json").symlink_to(tmp_path / "cell.json")
    os.mkfifo(cell / "subscriber-1.csv")
    (cell / "subscriber-2.csv").symlink_to("/dev/zero")
    with (cell / "subscriber-3.csv").open("wb") as file:
        file.truncate(2**40)
    (folder / "plots").mkdir()
    for name in ("report.md", "plots/tree-d2f2-4hosts-ecdf.svg"):
        (folder / name).symlink_to(tmp_path / "victim")
    os.mkfifo(folder / "plots" / "tree-d2f2-4hosts-ecdf.png")
    return folder


@attack(
    what="pipes, devices, links and endless files in a sweep folder, at `plot`",
    got="left out with a message; nothing is written through a link",
)
def test_a_sweep_folder_that_is_plotted(sweep: Path) -> None:
    plot = subprocess.run(
        [Path(sys.executable).with_name("pubsub-perf"), "plot", sweep],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * WAIT_S,
    )

    assert plot.returncode == 0, plot.stderr
    cell = "data/centralized/tree-d2f2-4hosts"
    for name, reason in (
        ("cell.json", " is left out: it is a link out of the folder"),
        ("subscriber-1.csv", ": is left out: it is not a plain file"),
        ("subscriber-2.csv", ": is left out: it is not a plain file"),
        ("subscriber-3.csv", ": is left out: it is too large"),
    ):
        assert f"pubsub-perf: {cell}/{name}{reason}" in plot.stderr
    assert (sweep.parent / "victim").read_text() == "mine"
    assert "secret" not in (sweep / "report.html").read_text()
    assert not (sweep / "report.md").is_symlink()


@attack(
    what="pipes, devices and links out of the folder, where `view` expects a report",
    got="not shown, with a message at the start",
)
def test_a_folder_that_is_viewed(sweep: Path) -> None:
    (sweep / "report.html").write_text("a page")
    (sweep / "analysis.html").symlink_to("/dev/zero")
    (sweep / "analysis.json").symlink_to(sweep.parent / "secret")
    os.mkfifo(sweep / "analysis.md")
    with subprocess.Popen(
        [Path(sys.executable).with_name("pubsub-perf"), "view", sweep, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as view:
        try:
            assert view.stdout is not None
            url = view.stdout.readline().strip()
            with urlopen(url, timeout=WAIT_S) as page:
                assert page.read() == b"a page"
            names = ("analysis.html", "analysis.json", "analysis.md", "report.md")
            for name in names:
                with pytest.raises(HTTPError, match="404"):
                    urlopen(url + name, timeout=WAIT_S)
        finally:
            view.terminate()
            _, said = view.communicate(timeout=WAIT_S)

    assert all(f"pubsub-perf: {name} is left out: it is " in said for name in names)
