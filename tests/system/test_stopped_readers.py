"""Programs with unread logs or data, although the pipe is open.

An unread log delays nothing, and unread data delays only the data: control continues,
and a signal ends the program normally.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import zmq
from support.attack_tools import Talker, register
from support.ports import free_port
from support.running_roles import MODELS, RunningBroker, registered

from pubsub_common.protocol.messages import Role
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

PROGRAMS: Final = Path(sys.executable).parent
WAIT_S: Final = 60.0
PIPE_BYTES: Final = 4096
# Larger than PIPE_BUF: a smaller write waits until all of it fits, and leaves the pipe with
# room that no write uses.
LINE_BYTES: Final = 5000
LEASE_S: Final = 1.0


class Stopped:
    """A program with an unread pipe as standard output or error."""

    def __init__(self, stream: str, name: str, *words: object) -> None:
        self.read_fd, write_fd = os.pipe()
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        streams[stream] = write_fd
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [PROGRAMS / name, *map(str, words)],
            **streams,  # type: ignore[call-overload]
        )
        self.write_fd = write_fd

    @property
    def room(self) -> int:
        """The number of bytes that fit into the pipe."""
        waiting = bytearray(4)
        fcntl.ioctl(self.read_fd, termios.FIONREAD, waiting)
        return PIPE_BYTES - int.from_bytes(waiting, sys.byteorder)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send one signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def log(self) -> str:
        """The content of the pipe, at the end."""
        os.set_blocking(self.read_fd, False)
        return os.read(self.read_fd, PIPE_BYTES).decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.read_fd)
        os.close(self.write_fd)


@contextlib.contextmanager
def stopped(stream: str, name: str, *words: object) -> Iterator[Stopped]:
    program = Stopped(stream, name, *words)
    try:
        yield program
    finally:
        program.close()


@pytest.fixture(params=MODELS)
def broker(request: pytest.FixtureRequest) -> Iterator[RunningBroker]:
    running = RunningBroker(request.param, lease_s=LEASE_S)
    yield running
    running.stop()


def session(broker: RunningBroker, role: Role) -> int:
    """The session of the one client of a role."""
    wait_for(lambda: registered(broker.port, role), f"a {role}", timeout_s=WAIT_S)
    (client,) = registered(broker.port, role)
    number: int = client.session
    return number


def wait_for_leases(broker: RunningBroker) -> None:
    """Return when the lease of a silent client has expired, and so those of all silent
    clients."""
    with zmq.Context() as context:
        talker = Talker(context, zmq.DEALER, None, None)
        talker.connect(broker.port)
        silent = talker.registered(register("subscriber", ["lease"], "127.0.0.1"))

        def gone() -> bool:
            there = registered(broker.port, "subscriber")
            return silent.session not in {client.session for client in there}

        wait_for(gone, "the end of a lease", timeout_s=WAIT_S)
        talker.close()


def come_and_go(port: int, until: Stopped) -> None:
    """Make a broker log subscribers that join and leave, until its log is full."""

    def visit() -> bool:
        topic = "x" * 200
        with Subscriber(broker_port=port, topics=[topic], connect_timeout_s=WAIT_S):
            return until.room < 1000

    wait_for(visit, "a full log", timeout_s=WAIT_S)


@pytest.mark.parametrize("words", [(), ("-c", "-v"), ("--log-format", "json")])
def test_a_broker_serves_though_nobody_reads_its_log(words: tuple[str, ...]) -> None:
    port = free_port()
    with stopped("stderr", "pubsub-broker", "--port", port, *words) as broker:
        come_and_go(port, broker)
        with Subscriber(broker_port=port, topics=["A"], connect_timeout_s=WAIT_S):
            pass

        assert broker.end() == 0
        # Its earlier output is there.
        assert "broker on 127.0.0.1" in broker.log()


def test_how_much_of_a_log_is_missing_is_said_when_it_is_read_again() -> None:
    port = free_port()
    with stopped("stderr", "pubsub-broker", "-v", "--port", port) as broker:
        come_and_go(port, broker)
        log = ""
        with Subscriber(broker_port=port, topics=["A"], connect_timeout_s=WAIT_S):
            while " at 127.0.0.1 joined: A\n" not in log:
                log += os.read(broker.read_fd, PIPE_BYTES).decode()
        assert "missing" not in log  # all lines fit into the queue
        assert broker.end() == 0


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_a_client_stays_registered_though_nobody_reads_its_log(
    broker: RunningBroker, role: Role
) -> None:
    words = ["-b", f"127.0.0.1:{broker.port}", "-t", "A", "-i"]
    words += ["--bind-port", "0"] if role == "publisher" else []
    with stopped("stderr", f"pubsub-{role}", "-v", *words) as client:
        os.write(client.write_fd, b"x" * client.room)
        before = session(broker, role)
        wait_for_leases(broker)

        assert session(broker, role) == before
        assert client.end() == 0
    wait_for(lambda: not registered(broker.port, role), timeout_s=WAIT_S)


def test_data_that_nobody_reads_holds_up_only_the_data(broker: RunningBroker) -> None:
    words = ("-b", f"127.0.0.1:{broker.port}", "-t", "A", "-i")
    with stopped("stdout", "pubsub-subscriber", *words) as subscriber:
        before = session(broker, "subscriber")
        with Publisher(
            broker_port=broker.port, topics=["A"], connect_timeout_s=WAIT_S, bind_port=0
        ) as publisher:
            publisher.wait_for_subscribers(1, WAIT_S)

            def full() -> bool:
                publisher.publish_event("A", b"x" * LINE_BYTES)
                return subscriber.room == 0

            wait_for(full, "a full pipe", timeout_s=WAIT_S)
            for _ in range(100):
                publisher.publish_event("A", b"x" * LINE_BYTES)
        wait_for_leases(broker)
        assert session(broker, "subscriber") == before

        assert subscriber.end() == 0
        _, said = subscriber.process.communicate(timeout=WAIT_S)
    what, summary = said.decode().splitlines()
    assert what == (
        "pubsub-subscriber: nobody reads standard output: the rest is discarded"
    )
    assert " received, 0 lost" in summary
    assert registered(broker.port, "subscriber") == []


@pytest.mark.parametrize("name", ["pubsub-publisher", "pubsub-broker"])
def test_who_interrupts_a_program_that_nobody_reads_need_not_do_it_twice(
    name: str,
) -> None:
    """A program that does not handle signals, as it needs no cleanup."""
    with stopped("stdout", name, "--help") as program:
        wait_for(lambda: program.room == 0, "a full pipe", timeout_s=WAIT_S)

        assert program.end(signal.SIGINT) == 130
        _, said = program.process.communicate(timeout=WAIT_S)
    assert said.decode().splitlines()[0] == f"{name}: interrupted"


def test_data_that_is_read_late_is_not_lost(broker: RunningBroker) -> None:
    words = ("-b", f"127.0.0.1:{broker.port}", "-t", "A", "--count", "100", "--raw")
    with stopped("stdout", "pubsub-subscriber", *words) as subscriber:
        with Publisher(
            broker_port=broker.port, topics=["A"], connect_timeout_s=WAIT_S, bind_port=0
        ) as publisher:
            publisher.wait_for_subscribers(1, WAIT_S)
            payload = b"x" * (LINE_BYTES - 1)
            for _ in range(100):
                publisher.publish_event("A", payload)
            wait_for(lambda: subscriber.room == 0, "a full pipe", timeout_s=WAIT_S)
            data = b""
            while len(data) < 100 * LINE_BYTES:
                data += os.read(subscriber.read_fd, PIPE_BYTES)
            assert subscriber.process.wait(WAIT_S) == 0
        assert data == (payload + b"\n") * 100


@pytest.mark.parametrize(
    "line",
    [
        "pubsub-broker status -b 127.0.0.1:1 --timeout 0.1",
        "pubsub-driver --publisher 0",
        "pubsub-perf plot /nowhere",
        "pubsub-publisher -t A -l x -b 127.0.0.1:1 --connect-timeout 0.1",
    ],
)
def test_a_complaint_that_nobody_reads_ends_with_the_program(line: str) -> None:
    read_fd, write_fd = os.pipe()
    fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(write_fd, b"x" * PIPE_BYTES)
    name, *words = line.split()
    done = subprocess.run([PROGRAMS / name, *words], stderr=write_fd, timeout=WAIT_S)
    os.close(write_fd)
    os.close(read_fd)

    assert done.returncode in (1, 2)
