"""Brokers and clients as processes: killed, restarted and broken ones."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pubsub_broker.commands.status import main as status_main
from pubsub_common.cli import console_script
from pubsub_common.client.status_client import ask
from pubsub_common.errors import BrokerUnreachable
from pubsub_common.protocol.messages import ClientStatus, Status
from pubsub_common.testing import wait_for

HOST = "127.0.0.1"
WAIT_S = 60

# A client like those of the roles, without a data port.
CLIENT = """
import sys, threading
import zmq
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.control_client import ControlClient
from pubsub_common.client.identity import Identity
role, endpoint, address = sys.argv[1:]
identity = Identity(role, ("A",), address, "realtime")
brokers = BrokerPlaces.of(endpoint.removeprefix("tcp://"))
client = ControlClient(zmq.Context(), brokers, identity, lambda event: None)
client.start()
threading.Event().wait()
"""

# A broker with an unexpected error.
BROKEN = """
import sys
from pubsub_broker.control import core
from pubsub_broker.cli import main
def fail(*_arguments):
    raise ZeroDivisionError("line one\\nline two")
core.BrokerCore.status = fail
sys.exit(main(sys.argv[1:]))
"""


class Broker:
    """A broker's process. Its log goes to a file, so no reader is needed."""

    def __init__(self, log: Path, *words: str, code: str | None = None) -> None:
        what = ["-m", "pubsub_broker"] if code is None else ["-c", code]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *what, "--bind", HOST, *words], stderr=file
            )
        self.log = log
        wait_for(lambda: " broker on " in self.said() or self.process.poll())
        found = re.search(r" broker on 127\.0\.0\.1:(\d+)$", self.said(), re.M)
        assert found, self.said()
        self.port = int(found[1])

    def said(self) -> str:
        return self.log.read_text()

    def status(self) -> Status:
        return ask(HOST, self.port, WAIT_S)

    def clients(self, role: str) -> list[ClientStatus]:
        return [client for client in self.status().clients if client.role == role]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[Any]]]:
    started: list[subprocess.Popen[Any]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


Start = Callable[..., Broker]


@pytest.fixture
def start(tmp_path: Path, processes: list[subprocess.Popen[Any]]) -> Start:
    def run(*words: str, code: str | None = None) -> Broker:
        log = tmp_path / f"{len(processes)}.log"
        broker = Broker(log, *words, code=code)
        processes.append(broker.process)
        return broker

    return run


@pytest.fixture
def join(
    processes: list[subprocess.Popen[Any]],
) -> Callable[[Broker, str], subprocess.Popen[Any]]:
    def run(broker: Broker, role: str) -> subprocess.Popen[Any]:
        address = HOST if role == "subscriber" else f"{HOST}:1"
        words = [role, f"tcp://{HOST}:{broker.port}", address]
        processes.append(subprocess.Popen([sys.executable, "-c", CLIENT, *words]))
        wait_for(lambda: broker.clients(role))
        return processes[-1]

    return run


@pytest.mark.parametrize("words", [[], ["-c"]], ids=["decentralized", "centralized"])
def test_clients_that_are_killed_are_gone_when_their_lease_ends(
    start: Start, join: Any, words: list[str]
) -> None:
    lease_s = 1.0
    broker = start("--port", "0", "--lease", str(lease_s), *words)
    publisher, subscriber = join(broker, "publisher"), join(broker, "subscriber")

    for process in (publisher, subscriber):
        process.kill()
        process.wait()

    # The broker's own record of their silence while it still listed them: never longer
    # than a lease, so they are removed in time.
    seen: list[float] = []

    def gone() -> bool:
        clients = broker.status().clients
        seen.extend(client.idle_s or 0.0 for client in clients)
        return not clients

    wait_for(gone)
    assert max(seen, default=0.0) < lease_s
    # More, if the machine was too busy to renew one; that client came back then.
    # The log has a thread of its own, so a line may come after the status.
    wait_for(lambda: broker.said().count("lease expired") >= 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_restart_the_status_shows_missing_clients(
    start: Start, join: Any, tmp_path: Path, number: int
) -> None:
    state = tmp_path / "state"
    # The second one expects them for at least this long.
    words = ["--state", str(state), "--lease", "20"]
    first = start("--port", "0", *words)
    publisher, _ = join(first, "publisher"), join(first, "subscriber")
    wait_for(lambda: state.exists() and state.read_text().count("session") == 2)
    before = {client.session: client.role for client in first.status().clients}
    # It does not come back.
    publisher.kill()
    publisher.wait()
    first.process.send_signal(number)
    first.process.wait(WAIT_S)

    second = start("--port", str(first.port), *words)
    wait_for(lambda: second.clients("subscriber"))

    status = second.status()
    [missing] = status.expected
    assert (missing.role, before[missing.session]) == ("publisher", "publisher")
    assert missing.address == f"{HOST}:1"
    assert missing.idle_s is not None
    assert [client.session in before for client in status.clients] == [True]


def test_an_error_that_nobody_has_thought_of_ends_it_with_one_line(
    start: Start,
) -> None:
    broker = start("--port", "0", code=BROKEN)

    with pytest.raises(BrokerUnreachable):
        ask(HOST, broker.port, 1.0)

    assert broker.process.wait(WAIT_S) == console_script.EXIT_FAILED
    _, *lines = broker.said().splitlines()
    [line] = lines
    assert line.startswith("pubsub-broker: internal error (")
    assert line.endswith("ZeroDivisionError: line one line two")


def test_too_few_open_files_are_one_line_of_warning(start: Start) -> None:
    limited = (
        "import resource, sys; from pubsub_broker.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 400))\n"
        "sys.exit(main(sys.argv[1:]))"
    )

    broker = start("--port", "0", "-c", "--max-clients", "5000", code=limited)

    warning, _ = broker.said().splitlines()
    assert "400 open files are enough for 150 clients, not for 5000" in warning
    assert broker.status().clients == []


# pubsub-broker status


def test_the_status_command_lists_the_clients(
    start: Start,
    join: Any,
    capsys: pytest.CaptureFixture[str],
    untouched_logging: None,
) -> None:
    broker = start("--port", "0")
    join(broker, "subscriber")

    assert status_main(["-b", HOST, "--broker-port", str(broker.port)]) == 0

    first, second, third, *topics = capsys.readouterr().out.splitlines()
    assert first.startswith("decentralized broker")
    assert first.endswith("; 0 publishers, 1 subscriber, 1 topic")
    assert second.startswith("events do not pass through this broker")
    assert third.startswith(f"  subscriber {HOST}: A; last seen ")
    assert topics == ["topics: 1", "  A: 0 publishers, 1 subscriber"]


def test_the_status_command_can_print_json(
    start: Start, capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    broker = start("--port", "0")

    assert status_main(["--broker-port", str(broker.port), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["model"] == "decentralized"


def test_the_status_command_says_that_there_is_no_broker(
    capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    words = ["--broker-port", "1", "--timeout", "0.05"]

    assert status_main(words) == console_script.EXIT_FAILED

    said = capsys.readouterr()
    assert said.out == ""
    assert "no broker answered at tcp://127.0.0.1:1" in said.err
    assert said.err.count("\n") == 1
