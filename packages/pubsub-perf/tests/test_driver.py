"""The driver: one command for every role."""

from __future__ import annotations

import csv
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pubsub_common import cli
from pubsub_common.errors import ConfigError
from pubsub_perf import driver
from pubsub_perf.rolekeys import make_keys

DRIVER = str(Path(sys.executable).with_name("pubsub-driver"))


def plan(*words: str) -> tuple[str, list[list[str]]]:
    return driver.plan(cli.parse(driver.USAGE, words, "pubsub-driver", "0"))


def test_the_seeds_spelling_is_understood() -> None:
    role, (words,) = plan(
        *("-pub", "1", "-t", "A", "-t", "B", "-b", "10.0.0.1"),
        *("-bp", "6000", "-s", "0.5", "--max_event_count", "7", "-v"),
    )
    assert role == "publisher"
    assert words == [
        *("--verbose", "-t", "A", "-t", "B", "--broker-address", "10.0.0.1"),
        *("--broker-port", "5555", "--connect-timeout", "30"),
        *("--max-event-count", "7", "--sleep", "0.5", "--bind-port", "6000"),
        *("--clock", "realtime"),
    ]


@pytest.mark.parametrize("spelling", ["-sub", "--subscriber"])
def test_files_of_several_subscribers_are_numbered(spelling: str) -> None:
    _, commands = plan(
        *(spelling, "3", "-t", "A", "-b", "10.0.0.1", "-c"),
        *("-f", "results/latency.csv", "-m", "9"),
    )
    names = [words[words.index("--filename") + 1] for words in commands]
    assert names == [f"results/latency-{i}.csv" for i in range(3)]
    assert all("--centralized" in words for words in commands)


def test_ports_of_several_publishers_are_numbered() -> None:
    _, commands = plan("-pub", "3", "-t", "A", "-b", "10.0.0.1", "-bp", "7000")
    ports = [words[words.index("--bind-port") + 1] for words in commands]
    assert ports == ["7000", "7001", "7002"]


def test_a_broker_goes_on_unless_it_is_limited() -> None:
    assert plan("--broker", "1", "-c") == ("broker", [["--centralized"]])
    _, (words,) = plan("--broker", "1", "-m", "5")
    assert words == ["--max-event-count", "5"]


def test_keys_go_to_clients_and_their_folder_to_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert plan("--broker", "1", "--secure", "keys")[1] == [["--secure", "keys"]]
    monkeypatch.setenv("PUBSUB_KEYS", "mine.keys")
    assert plan("--broker", "1") == ("broker", [[]])
    for role in ("-pub", "-sub"):
        for words, expected in (((), "mine.keys"), (("--keys", "x.keys"), "x.keys")):
            _, commands = plan(role, "2", "-t", "A", *words)
            found = {line[line.index("--keys") + 1] for line in commands}
            assert found == {expected}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "exactly one of"),
        (["-pub", "1", "-sub", "1"], "not --publisher and --subscriber"),
        (["--broker", "2"], "COUNT must be 1"),
        (["-pub", "0", "-t", "A"], "at least 1"),
        (["-pub", "-3", "-t", "A"], "at least 1"),
        (["-pub", "many"], "not a whole number"),
        (["-pub", "100000"], "at most 1000"),
        (["-pub", "1", "-f", "x.csv"], "subscribers only"),
        (["-sub", "1", "-t", "A", "-f", "x.csv", "-i"], "not with -i"),
        (["-sub", "1", "-t", "A", "--secure", "keys"], "clients take --keys FILE"),
        (["--broker", "1", "--keys", "x.keys"], "a broker takes --secure DIR"),
    ],
)
def test_contradictions_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(*words)


@pytest.mark.parametrize(
    "words",
    [
        ["-pub", "1", "-sub", "1"],
        ["-pub", "1", "-b", "127.0.0.1"],
        ["-sub", "2", "-t", "A", "-b", ""],
        ["--broker", "1", "-m", "-4"],
        ["-pub", "1", "-t", "A", "-b", "127.0.0.1", "-s", "-1"],
        ["--bogus"],
    ],
)
@pytest.mark.integration
def test_bad_input_is_said_and_exits_with_2(words: list[str]) -> None:
    done = subprocess.run([DRIVER, *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == (2 if words[:2] != ["-sub", "2"] else 1)
    lines = done.stderr.splitlines()
    assert len(lines) == (1 if words[:2] != ["-sub", "2"] else 3)
    assert "Traceback" not in done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.integration
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "secure"])
@pytest.mark.parametrize("model", [["-c"], []], ids=["centralized", "decentralized"])
def test_a_whole_system_from_three_calls(
    tmp_path: Path, model: list[str], secure: bool
) -> None:
    """And one Ctrl-C stops all processes of a call cleanly."""
    broker_words, client_words = list(model), []
    if secure:
        keys = make_keys(tmp_path / "keys", ["client"])
        broker_words += keys.broker_words()
        client_words += keys.client_words("client")
    # The driver takes the seed's options, so its broker has the default port; an
    # address of its own keeps this test apart from others.
    host = f"127.77.{free_port() % 250 + 1}.{free_port() % 250 + 1}"
    latencies = tmp_path / "latency.csv"
    calls: list[subprocess.Popen[str]] = []

    def call(*words: str) -> subprocess.Popen[str]:
        calls.append(
            subprocess.Popen([DRIVER, *words], stderr=subprocess.PIPE, text=True)
        )
        return calls[-1]

    try:
        broker = call("--broker", "1", *broker_words, "-i", "--address", host)
        client = ("-t", "A", "-b", host, "--address", host, *client_words)
        subscribers = call(
            *("-sub", "3", *client, *model, "-m", "8", "-f", str(latencies))
        )
        publishers = call("-pub", "2", *client, "-i", "-s", "0.02")
        _, said = subscribers.communicate(timeout=60)
        assert subscribers.returncode == 0, said
        for index in range(3):
            with (tmp_path / f"latency-{index}.csv").open(newline="") as file:
                assert len(list(csv.reader(file))) == 9
        for process in (publishers, broker):
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
            assert process.returncode == 0, said
            assert "Traceback" not in said
    finally:
        for process in calls:
            process.kill()
            process.communicate()
