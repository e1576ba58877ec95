"""The driver: one command for every role."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import free_port

from pubsub_common.cli import console_script, option_texts, usage_text
from pubsub_common.errors import ConfigError
from pubsub_perf import driver
from pubsub_perf.experiment.role_keys import make_keys
from pubsub_publisher import cli as publisher_cli
from pubsub_subscriber import cli as subscriber_cli

DRIVER = str(Path(sys.executable).with_name("pubsub-driver"))


def plan(*words: str) -> tuple[str, list[list[str]]]:
    return driver.plan(console_script.parse(driver.USAGE, words, "pubsub-driver", "0"))


def test_the_seeds_spelling_is_understood() -> None:
    role, (words,) = plan(
        *("-pub", "1", "-t", "A", "-t", "B", "-b", "10.0.0.1"),
        *("-bp", "6000", "-s", "0.5", "--max_event_count", "7", "-v"),
    )
    assert role == "publisher"
    assert words == [
        *("--topic", "A", "--topic", "B", "--broker-address", "10.0.0.1"),
        *("--bind-port", "6000", "--count", "7", "--sleep", "0.5"),
        "--verbose",
    ]


def test_topics_are_spelled_as_the_seeds_driver_has_them() -> None:
    _, (words,) = plan("-sub", "1", "--topics", "A", "--topics=B", "-t", "--topics")
    assert words[:4] == ["--topic", "A", "--topic", "B"]


@pytest.mark.parametrize("role", ["-pub", "-sub"])
def test_a_client_is_told_all_options_that_clients_have_alike(role: str) -> None:
    options = usage_text.option_lines(option_texts.CLIENT_OPTIONS)
    # The driver looks up a context: it passes on the options in it, not its name.
    told = [option.long for option in options if option.long != "--context"]
    given = [word for option in told for word in (option, "7")]
    _, (words,) = plan(role, "1", *given, "-i")
    words.remove("--indefinite")
    assert words == given


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


def test_what_was_not_given_is_left_to_the_role() -> None:
    assert plan("-pub", "2", "-t", "A") == ("publisher", [["--topic", "A"]] * 2)
    assert plan("-sub", "1", "-t", "A", "-i") == (
        "subscriber",
        [["--topic", "A", "--indefinite"]],
    )
    # A default that was given is given.
    assert plan("-pub", "1", "--clock", "realtime")[1] == [["--clock", "realtime"]]


@pytest.mark.parametrize("words", [[], ["-f", "latency.csv"], ["-c"]])
def test_a_subscriber_has_the_seeds_limit(words: list[str]) -> None:
    _, commands = plan("-sub", "2", "-t", "A", *words)
    for told in commands:
        assert told[told.index("--count") + 1] == "15"


@pytest.mark.parametrize(
    "word", ["count = 3", "max-event-count = 3", "indefinite = true"]
)
@pytest.mark.parametrize("table", ["subscriber", "common"])
def test_a_subscriber_has_the_limit_of_its_own_settings(
    tmp_path: Path, word: str, table: str
) -> None:
    if (table, word) == ("common", "count = 3"):  # is not of all roles
        return
    path = tmp_path / "settings.toml"
    path.write_text(f"[{table}]\n{word}\n")
    _, (words,) = plan("-sub", "1", "-t", "A", "--config", str(path))
    assert "--count" not in words


SETTINGS = """
[common]
broker-port = 6001
max-event-count = 5
indefinite = true
[driver]
sleep = 0.25
topic = ["driven"]
clock = "monotonic"
[publisher]
sleep = 0.5
topic = ["own"]
max-event-count = 9
bind-port = 7000
payload-size = 3
"""


@pytest.fixture
def settings(tmp_path: Path) -> str:
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS)
    return str(path)


def test_of_a_file_the_role_is_told_what_is_the_drivers_alone(
    settings: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--topic", "driven", "--sleep", "0.25", "--clock", "monotonic"]
    told = [*words, "--config", settings]
    assert plan("-pub", "2", "--config", settings) == ("publisher", [told] * 2)
    monkeypatch.setenv("PUBSUB_CONFIG", settings)
    assert plan("-pub", "1") == ("publisher", [words])
    _, (words,) = plan("-pub", "1", "-s", "2", "-t", "said")
    assert words == ["--topic", "said", "--sleep", "2", "--clock", "monotonic"]


def test_the_roles_own_settings_hold(settings: str) -> None:
    """Unless the driver has another value."""
    _, (words,) = plan("-pub", "1", "--config", settings, "-s", "2.0")
    parsed = console_script.parse(publisher_cli.USAGE, words, "pubsub-publisher", "0")
    wanted = {
        "--count": "9",
        "--bind-port": "7000",
        "--payload-size": "3",
        "--broker-port": "6001",
        "--sleep": "2.0",
        "--topic": ["driven"],
        "--indefinite": True,
    }
    assert {name: parsed[name] for name in wanted} == wanted


def test_the_environment_names_the_broker_to_the_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", "10.0.0.9:7777")
    _, (words,) = plan("-sub", "1", "-t", "A", "-i")
    assert words == ["--topic", "A", "--indefinite"]
    parsed = console_script.parse(subscriber_cli.USAGE, words, "pubsub-subscriber", "0")
    assert (parsed["--broker-address"], parsed["--broker-port"]) == ("10.0.0.9", "7777")
    _, (words,) = plan("-sub", "1", "-t", "A", "-b", "10.0.0.8")
    parsed = console_script.parse(subscriber_cli.USAGE, words, "pubsub-subscriber", "0")
    assert (parsed["--broker-address"], parsed["--broker-port"]) == ("10.0.0.8", "5555")


def test_a_broker_is_named_with_its_port(tmp_path: Path) -> None:
    def place(*more: str) -> list[str]:
        _, (words,) = plan("-pub", "1", "-t", "A", *more)
        return words[2:6]

    there = ["--broker-address", "there", "--broker-port", "6001"]
    assert place("-b", "there:6001") == there
    (tmp_path / "x.toml").write_text('[driver]\nbroker-address = "there:6001"\n')
    file = ("--config", str(tmp_path / "x.toml"))
    assert place(*file) == there
    assert place(*file, "--broker-port", "7") == [*there[:3], "7"]
    assert place(*file, "-b", "here")[:3] == ["--broker-address", "here", "--config"]


def test_a_file_that_makes_no_sense_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text("[driver]\nslep = 1\n")
    with pytest.raises(SystemExit) as end:
        driver.main(["-pub", "1", "-t", "A", "--config", str(tmp_path / "x.toml")])
    assert end.value.code == console_script.EXIT_USAGE
    assert "unknown key 'slep' in [driver]" in capsys.readouterr().err


def test_a_broker_goes_on_unless_it_is_limited() -> None:
    assert plan("--broker", "1", "-c") == ("broker", [["--centralized"]])
    _, (words,) = plan("--broker", "1", "-m", "5")
    assert words == ["--count", "5"]


def test_a_broker_on_a_mininet_host_serves_that_hosts_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pubsub_common.net.addresses.host_address", lambda: "10.0.0.1")

    assert plan("--broker", "1")[1] == [["--bind", "10.0.0.1"]]
    assert plan("--broker", "1", "--bind", "10.0.0.2")[1] == [["--bind", "10.0.0.2"]]
    assert plan("-pub", "1", "-t", "A")[1][0].count("--bind") == 0


def test_brokers_of_a_group_have_an_address_each() -> None:
    role, commands = plan("--broker", "3", "-c", "--secure", "keys")
    assert role == "broker"
    assert commands == [
        ["--centralized", "--secure", "keys", "--bind", f"127.0.0.{number}"]
        for number in (1, 2, 3)
    ]


def test_a_limit_does_not_apply_with_i(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[driver]\ncount = 5\n")
    limit, none = ["--count", "3"], ["--indefinite"]

    assert plan("--broker", "1", "-i", "-m", "3")[1] == [none]
    assert plan("--broker", "1", "-i", "--config", str(file))[1][0][:1] == none
    file.write_text("[driver]\nindefinite = true\n")
    assert plan("--broker", "1", "-m", "3", "--config", str(file))[1][0][:2] == limit
    assert plan("--broker", "1", "--config", str(file))[1][0][:1] == none


def test_the_options_of_the_seed_are_accepted_for_any_role() -> None:
    words = plan("-sub", "1", "-t", "A", "-s", "1", "-bp", "7000", "-c", "-i")[1][0]
    assert words == ["--topic", "A", "--indefinite", "--centralized"]


@pytest.mark.parametrize("members", ["0", "8", "some"])
def test_an_etcd_has_few_members(
    members: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert driver.main(["--broker", "2", "--members", members]) == 2
    assert "--members" in capsys.readouterr().err


def test_keys_go_to_clients_and_their_folder_to_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert plan("--broker", "1", "--secure", "keys")[1] == [["--secure", "keys"]]
    # What the environment says, the roles find there themselves.
    monkeypatch.setenv("PUBSUB_KEYS", "mine.keys")
    assert plan("--broker", "1") == ("broker", [[]])
    for role in ("-pub", "-sub"):
        assert "--keys" not in plan(role, "1", "-t", "A")[1][0]
        for line in plan(role, "2", "-t", "A", "--keys", "x.keys")[1]:
            assert line[line.index("--keys") + 1] == "x.keys"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "exactly one of"),
        (["-pub", "1", "-sub", "1"], "not --publisher and --subscriber"),
        (["--broker", "65"], "at most 64"),
        (["--broker", "2", "--bind", "10.0.0.1"], "not with --bind"),
        (["-pub", "0", "-t", "A"], "at least 1"),
        (["-pub", "-3", "-t", "A"], "at least 1"),
        (["-pub", "many"], "not a whole number"),
        (["-pub", "100000"], "at most 1000"),
        (["-pub", "1", "-f", "x.csv"], "-f is for a subscriber only"),
        (["-sub", "1", "-t", "A", "--members", "3"], "--members is for a broker only"),
        (["-pub", "1", "-t", "A", "--bind", "::1"], "--bind is for a broker only"),
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
def test_bad_input_is_said_and_exits_with_2(words: list[str]) -> None:
    done = subprocess.run([DRIVER, *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("secure", "number"),
    [(False, signal.SIGINT), (False, signal.SIGHUP), (True, signal.SIGINT)],
    ids=["plain", "closed terminal", "secure"],
)
@pytest.mark.parametrize("model", [["-c"], []], ids=["centralized", "decentralized"])
def test_a_whole_system_from_three_calls(
    tmp_path: Path, model: list[str], secure: bool, number: int
) -> None:
    """And one signal stops all processes of a call cleanly."""
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
        broker = call("--broker", "1", *broker_words, "-i", "--bind", host)
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
            process.send_signal(number)
            _, said = process.communicate(timeout=100)
            assert process.returncode == 0, said
            assert "Traceback" not in said
    finally:
        for process in calls:
            process.kill()
            process.communicate()
