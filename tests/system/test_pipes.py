"""The console scripts as parts of pipes: real processes, directly connected."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.ports import free_port

from pubsub_common.testing import wait_for

from .conftest import WAIT_S

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(params=[["-c"], []], ids=["centralized", "decentralized"])
def model(request: pytest.FixtureRequest) -> list[str]:
    """The option that sets the model of a subscriber."""
    words: list[str] = request.param
    return words


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program in a session of its own; its standard error is in ``N.err``.
    All that were started end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: object, **options: Any) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{len(started)}.err").open("wb") as err:
            process = subprocess.Popen(
                [str(word) for word in argv],
                cwd=tmp_path,
                stderr=err,
                start_new_session=True,
                env=os.environ
                | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
                | options.pop("env", {}),
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options},
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(WAIT_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@pytest.fixture
def client(start: Start, model: list[str]) -> list[str]:
    """A broker runs; returns the options for its clients."""
    port = str(free_port())
    start("pubsub-broker", *model, "--port", port)
    return ["-t", "logs", "--broker-port", port, "--bind-port", "0"]


@pytest.fixture
def publisher(client: list[str]) -> list[str]:
    """A publisher that begins when a subscriber is there."""
    return ["pubsub-publisher", *client, "--wait-for", "1"]


@pytest.fixture
def subscriber(client: list[str], model: list[str]) -> list[str]:
    return ["pubsub-subscriber", *client[:4], *model]


def errors(tmp_path: Path) -> str:
    return "".join(path.read_text() for path in sorted(tmp_path.glob("*.err")))


def test_a_line_that_is_written_arrives_at_once(
    start: Start, publisher: list[str], subscriber: list[str], tmp_path: Path
) -> None:
    reading = start(*subscriber, "--raw")
    writing = start(*publisher, "--stdin", stdin=subprocess.PIPE)
    assert writing.stdin is not None
    assert reading.stdout is not None
    for line in (b"first\n", b"second\n", b"\n", b"fourth\n"):
        writing.stdin.write(line)
        writing.stdin.flush()
        # While the input is open, and nothing else comes.
        assert reading.stdout.readline() == line
    writing.stdin.close()
    assert writing.wait(WAIT_S) == 0
    reading.send_signal(signal.SIGTERM)
    assert reading.wait(WAIT_S) == 0
    assert "4 events received, 0 lost; latency min " in errors(tmp_path)


def test_a_log_that_grows_and_a_search_in_it(
    start: Start, publisher: list[str], subscriber: list[str], tmp_path: Path
) -> None:
    """``tail -f log | pubsub-publisher -t logs --stdin`` and
    ``pubsub-subscriber -t logs --raw | grep ...``, each by a shell."""
    log = tmp_path / "log"
    log.touch()
    grep = f"{' '.join(subscriber)} --raw | grep --line-buffered ERROR"
    searching = start("sh", "-c", grep)
    tail = f"tail -n +1 -f log | {' '.join(publisher)} --stdin"
    start("sh", "-c", tail)
    assert searching.stdout is not None
    for number in range(3):
        with log.open("a") as file:
            file.write(f"INFO {number}\nERROR {number}\n")
        assert searching.stdout.readline() == f"ERROR {number}\n".encode()


def test_many_lines_arrive_all_and_in_order(
    start: Start, publisher: list[str], subscriber: list[str], tmp_path: Path
) -> None:
    data = b"".join(b"%d some text\n" % number for number in range(200_000))
    (tmp_path / "lines").write_bytes(data)
    reading = start(
        "sh", "-c", f"{' '.join(subscriber)} --raw --count 200000 | sha256sum"
    )
    with (tmp_path / "lines").open("rb") as file:
        writing = start(*publisher, "--stdin", stdin=file)
    out, _ = reading.communicate(timeout=WAIT_S)

    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest(), errors(tmp_path)
    assert writing.wait(WAIT_S) == 0
    assert "200000 events received, 0 lost" in errors(tmp_path)


def test_bytes_of_all_kinds_go_through_as_they_are(
    start: Start, publisher: list[str], subscriber: list[str], tmp_path: Path
) -> None:
    contents = [bytes(range(256)) * 100, b"\0\xff\n\n\xc3", os.urandom(1 << 20)]
    words = []
    for number, content in enumerate(contents):
        (tmp_path / f"file {number}").write_bytes(content)
        words += ["--file", f"file {number}"]
    reading = start(*subscriber, "--raw", "--count", 3)
    writing = start(*publisher, *words)
    out, _ = reading.communicate(timeout=WAIT_S)

    assert out == b"".join(content + b"\n" for content in contents)
    assert (writing.wait(WAIT_S), reading.returncode) == (0, 0)


def test_names_that_end_in_zero_bytes_go_through_as_they_are(
    start: Start, publisher: list[str], subscriber: list[str]
) -> None:
    names = b"one\0two\nlines\0\xff\0"
    reading = start(*subscriber, "--raw", "-0", "--count", 3)
    writing = start(*publisher, "--stdin", "-0", stdin=subprocess.PIPE)
    writing.communicate(names, timeout=WAIT_S)

    assert reading.communicate(timeout=WAIT_S)[0] == names


def test_a_reader_that_wants_one_line_ends_it_quietly(
    start: Start, publisher: list[str], subscriber: list[str], tmp_path: Path
) -> None:
    """Also when nothing comes after that line."""
    pipe = (
        f"{{ {' '.join(subscriber)} --raw; echo $? > code; }} | head -n 1; "
        "while ! [ -s code ]; do sleep 0.05; done"
    )
    reading = start("sh", "-c", pipe)
    start(*publisher, "--literal", "only")
    out, _ = reading.communicate(timeout=WAIT_S)

    assert out == b"only\n"
    assert (tmp_path / "code").read_text() == "0\n"
    assert "1 event received" in errors(tmp_path)
    assert "Traceback" not in errors(tmp_path)
    assert "Broken" not in errors(tmp_path)


def test_help_may_be_cut_short(start: Start, tmp_path: Path) -> None:
    script = "set -o pipefail; for p in publisher subscriber broker; do "
    script += "pubsub-$p --help | head -n 1 || exit 1; done"
    helping = start("bash", "-c", script, env={"PYTHONUNBUFFERED": "1"})
    out, _ = helping.communicate(timeout=WAIT_S)

    assert (helping.returncode, out.count(b"\n")) == (0, 3)
    assert errors(tmp_path) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_publisher_that_waits_for_lines(
    start: Start, publisher: list[str], subscriber: list[str], number: int
) -> None:
    reading = start(*subscriber, "--raw")
    writing = start(*publisher, "--stdin", stdin=subprocess.PIPE)
    assert writing.stdin is not None
    assert reading.stdout is not None
    writing.stdin.write(b"first\nno end")
    writing.stdin.flush()
    assert reading.stdout.readline() == b"first\n"

    writing.send_signal(number)

    assert writing.wait(WAIT_S) == 0


def test_a_file_of_settings_and_the_environment_serve_all_roles(
    start: Start, tmp_path: Path, model: list[str]
) -> None:
    port = free_port()
    (tmp_path / "pubsub.toml").write_text(
        f"""
        [common]
        topic = ["logs"]
        centralized = {"true" if model else "false"}

        [broker]
        port = {port}

        [publisher]
        bind-port = {free_port()}
        wait-for = 1
        literal = "from the file"

        [subscriber]
        raw = true
        count = 1
        """
    )
    env = {"PUBSUB_CONFIG": "pubsub.toml", "PUBSUB_BROKER": f"127.0.0.1:{port}"}
    start("pubsub-broker", env=env)
    wait_for(lambda: f"127.0.0.1:{port}" in errors(tmp_path), "the broker's start")
    reading = start("pubsub-subscriber", env=env)
    writing = start("pubsub-publisher", env=env)

    assert reading.communicate(timeout=WAIT_S)[0] == b"from the file\n"
    assert writing.wait(WAIT_S) == 0


@pytest.mark.parametrize("role", ["broker", "publisher", "subscriber"])
def test_the_settings_in_the_readme_are_understood(
    start: Start, tmp_path: Path, role: str
) -> None:
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"^```toml\n(\[common\].*?)^```", readme, re.M | re.S)
    (tmp_path / "pubsub.toml").write_text(block)

    showing = start(f"pubsub-{role}", "--config", "pubsub.toml", "--print-config")

    out, _ = showing.communicate(timeout=WAIT_S)
    assert showing.returncode == 0, errors(tmp_path)
    shown = tomllib.loads(out.decode())[role]
    if role == "subscriber":
        assert shown["json"] is True
    if role != "broker":
        assert shown["connect-timeout"] == 10
