"""The console script pubsub-broker."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import pubsub_broker
from pubsub_broker.cli import PROGRAM, USAGE, config_of, main
from pubsub_broker.config import BrokerConfig
from pubsub_common.cli import console_script
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Registered, Status, StatusRequest
from pubsub_common.protocol.versions import VERSIONS

WAIT_S = 60


def config(*words: str) -> BrokerConfig:
    """The broker's configuration from a command line."""
    return config_of(console_script.parse(USAGE, words, PROGRAM, "1"))


def test_without_options_it_is_a_registry_that_runs_until_stopped() -> None:
    assert config() == BrokerConfig(indefinite=True)


@pytest.mark.parametrize("words", [["-c"], ["--centralized"]])
def test_c_makes_it_forward(words: list[str]) -> None:
    assert config(*words).centralized


@pytest.mark.parametrize(
    "words", [["-m", "7"], ["--count", "7"], ["--max_event_count=7"]]
)
def test_m_makes_it_end(words: list[str]) -> None:
    found = config(*words)

    assert not found.indefinite
    assert found.max_event_count == 7


def test_an_address_and_a_port_can_be_given() -> None:
    found = config("--bind", "127.0.0.3", "--port", "1234")

    assert (found.bind, found.port) == ("127.0.0.3", 1234)


IN_A_GROUP = ["--registry", "etcd://10.0.0.1", "--group", "lab"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-m", "0"], "--count"),
        (["-m", "x"], "--count"),
        (["--port", "65536"], "--port"),
        (["--port", "-1"], "--port"),
        (["--lease", "0"], "--lease"),
        (["--lease", "nan"], "--lease"),
        (["--owner-idle", "0"], "--owner-idle"),
        (["--owner-idle", "x"], "--owner-idle"),
        (["-c", "--forwarders", "0"], "--forwarders: 0"),
        (["--queue-limit", "0"], "--queue-limit"),
        (["--queue-limit", "99999999999"], "--queue-limit"),
        (["-c", "--overflow", "wait"], "--overflow must"),
        (["--max-clients", "0"], "--max-clients"),
        (["--max-clients-per-address", "0"], "--max-clients-per-address"),
        (["--max-registrations-per-second", "0"], "--max-registrations-per-second"),
        (["--max-topics-per-client", "4097"], "--max-topics-per-client"),
        (["--state", "/no/such/folder/state"], "/no/such/folder"),
        (["--state", "/dev/null"], "/dev/null"),
        (["--state", "/"], "cannot keep state"),
        (["--bind", "10.0.0.1:80"], "10.0.0.1:80"),
        (["--bind", "224.0.0.1"], "224.0.0.1"),
        (["--advertise", "0.0.0.0"], "--advertise: 0.0.0.0"),
        (["-c", "--forward-port", "a"], "--forward-port must be a port"),
        (["--registry", "10.0.0.1", "--group", "lab"], "--registry must be like"),
        (
            ["--registry", "etcd://10.0.0.1"],
            "--registry requires the name of the group",
        ),
        ([*IN_A_GROUP, "--state", "f"], "--state cannot be used with a registry"),
    ],
)
def test_a_value_that_cannot_work_is_named_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    named: str,
    untouched_logging: None,
) -> None:
    assert main(words) == console_script.EXIT_USAGE

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{PROGRAM}: ")
    assert said.err.count("\n") == 1
    assert named in said.err


def test_an_unknown_option_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--colour"])

    assert end.value.code == console_script.EXIT_USAGE
    assert "unknown option --colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("stat", "did you mean status?"),
        ("enrol", "did you mean enroll?"),
        ("x", "commands: status, check, keygen, enroll, revoke, list"),
    ],
)
def test_an_unknown_command_exits_with_2_and_the_right_one(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert main([word, "--json"]) == console_script.EXIT_USAGE

    assert capsys.readouterr().err == (
        f"{PROGRAM}: unknown command {word} ({hint}); try {PROGRAM} --help\n"
    )


def test_help_names_every_option_and_exits_with_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])

    assert not end.value.code
    said = capsys.readouterr().out
    for option in ("-c", "-i", "-m", "--bind", "--port", "--lease", "--forwarders"):
        assert option in said
    for option in ("--overflow", "--max-clients", "--state", "status"):
        assert option in said
    assert "PUBSUB_BROKER" not in said  # the program is the broker


def test_the_options_of_long_runs_reach_the_broker(tmp_path: Path) -> None:
    state = tmp_path / "state"

    found = config("-c", "--overflow=block", "--max-clients=7", f"--state={state}")

    assert (found.overflow, found.max_clients) == ("block", 7)
    assert found.state == str(state)


def test_status_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["status", "--help"])

    assert not end.value.code
    assert "--json" in capsys.readouterr().out


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"{PROGRAM} {pubsub_broker.__version__}\n"


def test_help_does_not_load_zeromq() -> None:
    code = (
        "import sys, atexit; from pubsub_broker.cli import main\n"
        "atexit.register(lambda: sys.stderr.write(str('zmq' in sys.modules)))\n"
        "main(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S
    )

    assert (done.stderr, done.returncode) == ("False", 0)


@pytest.mark.parametrize(
    "words", [["--port"], ["--port", "0", "--http"], ["--port", "0", "--metrics-port"]]
)
def test_a_port_in_use_is_not_a_usage_error_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], untouched_logging: None, words: list[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        assert main([*words, port]) == console_script.EXIT_FAILED

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{PROGRAM}: cannot ")
    assert f"127.0.0.1:{port}: Address already in use" in said


@pytest.mark.parametrize("option", ["--bind", "--http", "--metrics-port"])
def test_an_address_that_is_not_there_yet_exits_with_1(
    capsys: pytest.CaptureFixture[str], untouched_logging: None, option: str
) -> None:
    address = "192.0.2.1" if option == "--bind" else "192.0.2.1:8080"

    assert main(["--port", "0", option, address]) == console_script.EXIT_FAILED

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{PROGRAM}: cannot ")
    assert "192.0.2.1:" in said


class Running:
    """The program in a process of its own."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pubsub_broker"),
                *("--bind", "127.0.0.1", "--port", "0"),
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.first_line = self.process.stderr.readline()
        found = re.search(r' on 127\.0\.0\.1:(\d+)("})?$', self.first_line)
        assert found, self.first_line + self.process.stderr.read()
        self.port = int(found[1])

    def ask(
        self, context: zmq.Context[zmq.Socket[bytes]], request: messages.Request
    ) -> messages.Reply:
        dealer = context.socket(zmq.DEALER)
        dealer.rcvtimeo = WAIT_S * 1000
        dealer.connect(f"tcp://127.0.0.1:{self.port}")
        dealer.send(messages.encode(request))
        return messages.decode_reply(dealer.recv())

    def end(self, timeout_s: float = WAIT_S) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Any]:
    started: list[Running] = []

    def run(*words: str) -> Running:
        started.append(Running(*words))
        return started[-1]

    yield run
    for running in started:
        running.process.kill()
        running.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [[], ["-c"], ["-c", "-m", "5"]], ids=" ".join)
def test_a_signal_ends_it_with_exit_code_0(
    context: zmq.Context[zmq.Socket[bytes]],
    start: Any,
    number: int,
    words: list[str],
) -> None:
    running = start(*words)
    status = running.ask(context, StatusRequest(id=1))
    assert isinstance(status, Status)
    assert status.model == ("centralized" if "-c" in words else "decentralized")

    os.kill(running.process.pid, number)

    assert running.end() == (0, "", "")


def test_it_ends_by_itself_after_the_events_it_was_given(
    context: zmq.Context[zmq.Socket[bytes]], start: Any
) -> None:
    running = start("-m", "1")

    reply = running.ask(
        context,
        messages.Register(
            id=1,
            versions=VERSIONS,
            role="publisher",
            topics=["A"],
            address="127.0.0.1:1",
            clock="realtime",
        ),
    )

    assert isinstance(reply, Registered)
    code, out, err = running.end()
    assert (code, out) == (0, "")
    joined, ended = err.splitlines()
    assert joined == f"{PROGRAM}: publisher 127.0.0.1:1 joined: A"
    assert "max_event_count" in ended


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_v_shows_each_control_message_as_json_on_a_line(
    context: zmq.Context[zmq.Socket[bytes]], start: Any, log_format: str
) -> None:
    running = start("-v", "--log-format", log_format)
    running.ask(context, StatusRequest(id=7))
    running.process.send_signal(signal.SIGTERM)

    code, out, err = running.end()

    assert (code, out) == (0, "")
    shown = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    request, reply = (line for line in shown if "peer" in line)
    assert request["in"] == {"type": "status", "id": 7}
    assert (reply["out"]["type"], reply["out"]["id"]) == ("status_report", 7)
    assert request["peer"] == reply["peer"]
    expected = {"time", "peer", "in"}
    if log_format == "json":
        expected |= {"level", "program"}
    assert set(request) == expected
