"""Console scripts with closed, full or unread standard streams.

A write error is one line on standard error and exit code 1; a reader that has left is
not an error; and no data goes to another file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.broker_process import BrokerProcess
from support.ports import free_port

from pubsub_common.testing import wait_for

PROGRAMS: Final = Path(sys.executable).parent
WAIT_S: Final = 60.0

SCRIPTS: Final = (
    "pubsub-broker",
    "pubsub-broker status",
    "pubsub-broker check",
    "pubsub-broker keygen",
    "pubsub-broker enroll",
    "pubsub-broker revoke",
    "pubsub-broker list",
    "pubsub-publisher",
    "pubsub-subscriber",
    "pubsub-driver",
    "pubsub-conformance",
    "pubsub-perf",
    "pubsub-perf sweep",
    "pubsub-perf plot",
    "pubsub-perf analyze",
    "pubsub-perf compare",
    "pubsub-perf view",
    "pubsub-perf bench",
)
# Commands that only print.
ANSWERS: Final = (
    *(f"{script} --help" for script in SCRIPTS),
    *(f"{script} --version" for script in SCRIPTS),
    *(
        f"pubsub-{role} {option}"
        for role in ("broker", "publisher", "subscriber", "driver")
        for option in ("--completion bash", "--print-config")
    ),
    "pubsub-broker status --print-config",
    "pubsub-conformance --completion bash",
    "pubsub-conformance --list",
)
# Ways in which a shell starts a program without a place for its data, and the program's
# error.
UNWRITABLE: Final = {
    ">&-": "it is closed",
    ">/dev/full": "No space left on device",
}


def call(line: str, streams: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script with the standard streams that a shell gives it by ``streams``."""
    script, *words = line.split()
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {streams}', PROGRAMS / script, *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        stdin=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def unread_pipe() -> Iterator[int]:
    """A pipe with a closed reading end."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    try:
        yield write_fd
    finally:
        os.close(write_fd)


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerProcess]:
    running = BrokerProcess("-c")
    yield running
    running.process.terminate()
    running.process.communicate(timeout=WAIT_S)
    assert running.process.returncode == 0


@pytest.mark.parametrize("line", ANSWERS)
def test_what_cannot_be_written_is_one_line_and_exit_code_1(line: str) -> None:
    for streams, reason in UNWRITABLE.items():
        done = call(line, streams)
        assert (done.returncode, done.stdout) == (1, "")
        (said,) = done.stderr.splitlines()
        assert said.endswith(f": cannot write to standard output: {reason}")
        assert said.startswith("pubsub-")


@pytest.mark.parametrize("line", ANSWERS)
def test_a_reader_that_has_left_is_no_failure(line: str) -> None:
    with unread_pipe() as pipe:
        done = subprocess.run(
            [PROGRAMS / line.split()[0], *line.split()[1:]],
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=WAIT_S,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_complaint_without_a_place_is_only_an_exit_code(script: str) -> None:
    for streams in ("2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"):
        done = call(f"{script} --no-such-option", streams)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    with unread_pipe() as pipe:
        name, *words = script.split()
        failed = subprocess.run(
            [PROGRAMS / name, *words, "--no-such-option"],
            stdout=subprocess.PIPE,
            stderr=pipe,
            timeout=WAIT_S,
        )
    assert (failed.returncode, failed.stdout) == (2, b"")


@pytest.mark.parametrize("command", ["status", "status --json", "check"])
def test_an_answer_of_a_broker_that_cannot_be_written(
    broker: BrokerProcess, command: str
) -> None:
    line = f"pubsub-broker {command} -b 127.0.0.1:{broker.port}"
    for streams, reason in UNWRITABLE.items():
        done = call(line, streams)
        assert done.returncode == 1
        assert done.stderr == (
            f"pubsub-broker {command.split()[0]}: "
            f"cannot write to standard output: {reason}\n"
        )


def test_keys_are_made_though_nobody_is_told(tmp_path: Path) -> None:
    done = call(f"pubsub-broker keygen {tmp_path / 'keys'}", ">&-")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "keys" / "client.keys").exists()


def standard_files(pid: int) -> list[str]:
    """The files behind a process's descriptors 0, 1 and 2."""
    return [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)]


def sockets(pid: int) -> int:
    files = Path(f"/proc/{pid}/fd").iterdir()
    found = []
    for file in files:
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(str(file.readlink()))
    return sum(name.startswith("socket:") for name in found)


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "line",
    [
        "pubsub-broker --port 0",
        "pubsub-publisher -t x -i --bind-port 0",
        "pubsub-subscriber -t x -c -i",
        "pubsub-driver --publisher 1 -t x -i",
    ],
)
def test_no_socket_takes_the_place_of_a_closed_stream(
    broker: BrokerProcess, line: str, streams: str
) -> None:
    script, *words = line.split()
    if script != "pubsub-broker":
        words += ["-b", f"127.0.0.1:{broker.port}"]
    role = subprocess.Popen(
        ["sh", "-c", f'exec "$0" "$@" {streams}', PROGRAMS / script, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: sockets(role.pid) > 0, timeout_s=WAIT_S)
        assert standard_files(role.pid) == ["/dev/null"] * 3
    finally:
        # It may not handle signals yet, which then just end it.
        role.terminate()
        assert role.wait(WAIT_S) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_nothing_but_data_is_among_the_data(
    broker: BrokerProcess, streams: str
) -> None:
    where = f"-b 127.0.0.1:{broker.port} -t data"
    subscriber = subprocess.Popen(
        [
            "sh",
            "-c",
            f'exec "$0" {where} -c --raw --count 3 -v {streams}',
            PROGRAMS / "pubsub-subscriber",
        ],
        stdout=subprocess.PIPE,
    )
    done = call(
        f"pubsub-publisher {where} -l DATA --count 3 --bind-port 0 --wait-for 1 -v",
        ">&- 2>&-",
    )
    data, _ = subscriber.communicate(timeout=WAIT_S)

    assert (done.returncode, subscriber.returncode) == (0, 0)
    assert data == b"DATA\n" * 3


@pytest.mark.parametrize(
    ("streams", "reason"),
    [(">&-", "it is closed"), (">/dev/full", "No space left on device")],
)
def test_an_event_that_cannot_be_printed_ends_the_subscriber(
    broker: BrokerProcess, streams: str, reason: str
) -> None:
    where = f"-b 127.0.0.1:{broker.port} -t unprinted"
    subscriber = subprocess.Popen(
        [
            "sh",
            "-c",
            f'exec "$0" {where} -c {streams}',
            PROGRAMS / "pubsub-subscriber",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    call(f"pubsub-publisher {where} -l DATA --bind-port 0 --wait-for 1")
    _, said = subscriber.communicate(timeout=WAIT_S)

    assert subscriber.returncode == 1
    assert said == (f"pubsub-subscriber: cannot write to standard output: {reason}\n")


@pytest.mark.parametrize("broken", ["2>&-", "2>/dev/full", "unread"])
def test_a_log_that_cannot_be_written_ends_no_role(broken: str) -> None:
    port = free_port()
    with unread_pipe() as pipe:
        role = subprocess.Popen(
            [
                "sh",
                "-c",
                f'exec "$0" "$@" {broken if broken != "unread" else ""}',
                PROGRAMS / "pubsub-broker",
                *("-v", "--port", str(port)),
            ],
            stderr=pipe,
        )
    try:
        check = f"pubsub-broker check -b 127.0.0.1:{port}"
        wait_for(lambda: call(check).returncode == 0, timeout_s=WAIT_S)
        role.terminate()
        assert role.wait(WAIT_S) == 0
    finally:
        role.kill()
        role.wait()
