"""Settings from a file and from the environment, and how they are shown."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pubsub_common.cli import console_script, option_texts
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import broker_endpoints

PROGRAM = "pubsub-publisher"
USAGE = f"""Do a thing.

Usage:
  {PROGRAM} [options]

Options:
{option_texts.TOPIC_OPTION}
{option_texts.CLIENT_OPTIONS}
{option_texts.COUNT_OPTION}
{option_texts.INDEFINITE_OPTION}
{option_texts.CENTRALIZED_OPTION}
  --file FILE                     a file; repeat for more
  --rate RATE                     a rate
  -l TEXT, --literal TEXT         a text
{option_texts.VERBOSE_OPTION}
{option_texts.COMMON_END}
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBSUB_BROKER", "PUBSUB_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def parse(*words: str, program: str = PROGRAM) -> console_script.Options:
    return console_script.parse(USAGE, words, program, "1")


def read(
    file: Path, text: str, *words: str, program: str = PROGRAM
) -> console_script.Options:
    file.write_text(text)
    return parse("--config", str(file), *words, program=program)


# What applies


def test_a_file_gives_values_as_words_would(file: Path) -> None:
    options = read(
        file,
        """
        [publisher]
        topic = ["A", "B"]
        broker-address = "10.0.0.1"
        max_event_count = 7
        indefinite = true
        rate = 2.5
        """,
    )

    assert options["--topic"] == ["A", "B"]
    assert options["--broker-address"] == "10.0.0.1"
    assert options["--count"] == "7"
    assert options["--indefinite"] is True
    assert float(options["--rate"]) == 2.5
    assert options["--connect-timeout"] == "30"


def test_one_topic_needs_no_list(file: Path) -> None:
    assert read(file, '[publisher]\ntopic = "A"')["--topic"] == ["A"]


def test_the_common_table_is_for_all_and_a_programs_own_goes_before(file: Path) -> None:
    text = """
    [common]
    broker-port = 6000
    centralized = true
    queue-limit = 5
    max-event-count = 3
    [publisher]
    broker-port = 7000
    centralized = false
    [subscriber]
    filename = "x.csv"
    """
    options = read(file, text)

    assert (options["--broker-port"], options["--centralized"]) == ("7000", False)
    assert options["--count"] == "3"
    assert "--queue-limit" not in options, "this program does not have it"


def test_words_go_before_the_environment_and_that_before_a_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
    [publisher]
    broker-address = "10.0.0.1"
    broker-port = 1001
    max-event-count = 1
    """
    monkeypatch.setenv("PUBSUB_BROKER", "10.0.0.2:1002")

    options = read(file, text, "-m", "3")
    assert options["--broker-address"] == "10.0.0.2"
    assert options["--broker-port"] == "1002"
    assert options["--count"] == "3"
    options = read(file, text, "--broker-port", "1003")
    assert options["--broker-address"] == "10.0.0.2"
    assert options["--broker-port"] == "1003"
    # A broker that is named in words is another one, with another port.
    options = read(file, text, "-b", "10.0.0.3")
    assert options["--broker-address"] == "10.0.0.3"
    assert options["--broker-port"] == "1001"


def test_the_environment_may_name_a_broker_without_a_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", "10.0.0.2")

    assert parse()["--broker-address"] == "10.0.0.2"
    assert parse()["--broker-port"] == "5555"


@pytest.mark.parametrize(
    "text",
    ['"lab1, lab2:7000,::1"', '["lab1", "lab2:7000", "::1"]'],
    ids=["text", "list"],
)
def test_the_file_names_several_brokers_as_a_text_or_a_list(
    file: Path, text: str
) -> None:
    options = read(file, f"[common]\nbroker-address = {text}\n")
    assert broker_endpoints(
        options["--broker-address"], int(options["--broker-port"])
    ) == (("lab1", 5555), ("lab2", 7000), ("[::1]", 5555))


def test_the_port_of_several_brokers_is_for_those_without_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = read(
        file, "[common]\nbroker-address = 'lab1,lab2:7000'\nbroker-port = 6000\n"
    )
    assert options["--broker-address"] == "lab1:6000,lab2:7000"

    monkeypatch.setenv("PUBSUB_BROKER", "lab3,lab4:8000")
    assert parse()["--broker-address"] == "lab3,lab4:8000"

    words = parse("-b", "lab5,lab6:9000", "--broker-port", "6001")
    assert words["--broker-address"] == "lab5:6001,lab6:9000"


PLACE = "[publisher]\nbroker-address = 'there:1001'\n"


def test_any_source_may_name_a_broker_with_its_port(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(*words: str) -> tuple[str, str]:
        options = read(file, PLACE, *words)
        return options["--broker-address"], options["--broker-port"]

    assert place() == ("there", "1001")
    assert place("--broker-port", "7") == ("there", "7")
    assert place("-b", "localhost:8") == ("localhost", "8")
    assert place("-b", "localhost:8", "--broker-port=8") == ("localhost", "8")
    # The port of one broker is not that of another.
    assert place("-b", "localhost") == ("localhost", "5555")
    assert place("-b", "[2001:DB8::1]:8") == ("[2001:db8::1]", "8")
    assert place("-b", "::1") == ("[::1]", "5555")
    monkeypatch.setenv("PUBSUB_BROKER", "example.org:9")
    assert place() == ("example.org", "9")
    assert place("--broker-port", "7") == ("example.org", "7")
    monkeypatch.setenv("PUBSUB_BROKER", "example.org")
    assert place() == ("example.org", "5555")
    monkeypatch.setenv("PUBSUB_BROKER", "[::1]:9")
    assert place() == ("[::1]", "9")
    monkeypatch.setenv("PUBSUB_BROKER", "::1")
    assert place() == ("[::1]", "5555")


def test_the_environment_names_a_file_unless_words_do(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[common]\nbroker-port = 1")
    monkeypatch.setenv("PUBSUB_CONFIG", str(other))

    assert parse()["--broker-port"] == "1"
    assert read(file, "[common]\nbroker-port = 2")["--broker-port"] == "2"


def test_empty_variables_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_CONFIG", "")
    monkeypatch.setenv("PUBSUB_BROKER", "")

    assert parse()["--broker-address"] == "127.0.0.1"


def test_a_subcommand_takes_what_it_knows_of_its_programs_table(file: Path) -> None:
    text = "[publisher]\nlease = 5\nbroker-port = 6000"

    assert (
        read(file, text, program="pubsub-publisher status")["--broker-port"] == "6000"
    )


# Contexts

CONTEXTS = """
[publisher]
broker-address = "10.0.0.1:1001"
connect-timeout = 3
[context.lab]
broker-address = "pubsub://10.0.0.4:1004/weather"
keys = "lab.keys"
queue-limit = 5
[context.far]
broker-address = "10.0.0.5"
[context.home]
broker-address = "127.0.0.1"
connect-timeout = 30
"""


def test_a_context_goes_before_the_environment_and_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", "10.0.0.2:1002")
    monkeypatch.setenv("PUBSUB_KEYS", "mine.keys")

    options = read(file, CONTEXTS, "--context", "lab")
    assert (options["--broker-address"], options["--broker-port"]) == (
        "10.0.0.4",
        "1004",
    )
    assert options["--keys"] == "lab.keys"
    assert options["--topic"] == ["weather"]
    assert float(options["--connect-timeout"]) == 3
    options = read(file, CONTEXTS, "--context=far")
    assert (options["--broker-address"], options["--broker-port"]) == (
        "10.0.0.5",
        "5555",
    )
    assert options["--keys"] == "mine.keys"
    options = read(file, CONTEXTS, "--context", "home")
    assert (options["--broker-address"], options["--broker-port"]) == (
        "127.0.0.1",
        "5555",
    )
    assert float(options["--connect-timeout"]) == 30
    options = read(file, CONTEXTS, "--context", "lab", "-b", "10.0.0.9", "-t", "A")
    assert options["--broker-address"] == "10.0.0.9"
    assert options["--topic"] == ["A"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("lb", CONTEXTS, "has no context 'lb'; it has lab, far, home"),
        ("lab", "", "has no context 'lab'; it has none"),
        ("x", "[context]\nx = 1", "has no context 'x'; it has x"),
        (
            "x",
            "[context.x]\nkey = 'k'",
            "unknown key 'key' in [context.x] (did you mean",
        ),
        ("x", "[context.x]\nkeys = 1", "keys in [context.x]: text is needed, not 1"),
        ("x", "context = 1", "'context' is not in a table like [common]"),
    ],
)
def test_a_context_that_cannot_be_used_is_named(
    file: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    with pytest.raises(SystemExit):
        read(file, text, "--context", name)

    assert said in capsys.readouterr().err


def test_a_context_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--context", "lab")

    assert "--context lab needs a config file: --config FILE, or PUBSUB_CONFIG" in (
        capsys.readouterr().err
    )


# URLs of brokers


def test_a_url_names_broker_and_topic_in_every_source(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def named(options: console_script.Options) -> tuple[str, str, list[str]]:
        names = ("--broker-address", "--broker-port", "--topic")
        host, port, topics = (options[name] for name in names)
        return host, port, topics

    url = "pubsub://10.0.0.1:1001/A"
    expected = ("10.0.0.1", "1001", ["A"])
    assert named(parse("-b", url)) == expected
    assert named(parse("-b", url, "-t", "B")) == ("10.0.0.1", "1001", ["B"])
    assert named(read(file, f"[publisher]\nbroker-address = '{url}'")) == expected
    monkeypatch.setenv("PUBSUB_BROKER", url)
    assert named(parse()) == expected
    assert named(parse("-t", "B")) == ("10.0.0.1", "1001", ["B"])
    assert named(parse("-b", "pubsub://a,b:2/C")) == ("a,b:2", "5555", ["C"])


# How strongly it was asked for


def test_which_option_was_asked_for(file: Path) -> None:
    names = ("--count", "--rate")

    assert console_script.chosen_option(parse(), *names) is None
    assert console_script.chosen_option(parse("-m", "15"), *names) == "--count"
    assert (
        console_script.chosen_option(read(file, "[publisher]\ncount = 3"), *names)
        == "--count"
    )
    options = read(file, "[publisher]\ncount = 3", "--rate", "5")
    assert console_script.chosen_option(options, *names) == "--rate"
    with pytest.raises(ConfigError, match="--count and --rate exclude each"):
        console_script.chosen_option(parse("-m", "5", "--rate", "5"), *names)
    with pytest.raises(ConfigError, match="exclude each other"):
        console_script.chosen_option(
            read(file, "[publisher]\ncount = 3\nrate = 3"), *names
        )


def test_a_default_that_is_written_down_is_not_asked_for(file: Path) -> None:
    options = read(file, "[publisher]\nconnect-timeout = 30")

    assert not console_script.source_of(options, "--connect-timeout")


# What makes no sense: one line, exit code 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not TOML: Expected '='"),
        (PLACE + "broker-port = 1002", "and the port 1002, given apart, contradict"),
        (PLACE + "broker-port = 5555", "and the port 5555, given apart, contradict"),
        ("[common]\nbroker-address = 'x:y'", "'x:y' is not HOST or HOST:PORT like"),
        ("[common]\nbroker-address = 'x,x:y'", "'x:y' is not HOST or HOST:PORT like"),
        (
            "[common]\nbroker-address = 'x,,y'",
            "'x,,y' does not name one broker, or several with commas",
        ),
        ("[common]\nbroker-address = ['x', 5]", "text is needed, not 5"),
        ("[publisher]\nslep = 1", "unknown key 'slep' in [publisher]"),
        ("[publisher]\ntopik = 'A'", "(did you mean topic?)"),
        ("[publisher]\nhelp = true", "unknown key 'help'"),
        ("[publisher]\nconfig = 'x'", "unknown key 'config'"),
        ("[common]\nrate = 1.0", "unknown key 'rate' in [common]"),
        (
            "[publishers]\n",
            "'publishers' is not a table of settings; these are common,",
        ),
        ("publisher = 1", "'publisher' is not in a table"),
        (
            "[publisher]\ncount = 'many'",
            "count in [publisher]: a whole number is needed",
        ),
        ("[publisher]\ncount = 1.5", "a whole number is needed, not 1.5"),
        ("[publisher]\ncount = true", "a whole number is needed, not True"),
        ("[publisher]\nrate = 'x'", "a number is needed, not 'x'"),
        ("[publisher]\nindefinite = 1", "true or false is needed, not 1"),
        ("[publisher]\nliteral = 1", "text is needed, not 1"),
        ("[publisher]\nliteral = ['a']", "text is needed, not ['a']"),
        ("[publisher]\ntopic = [1]", "text is needed, not 1"),
        ("[publisher]\ntopic = {a = 1}", "text is needed, not {'a': 1}"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line_and_exit_code_2(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        read(file, text)

    complaint = capsys.readouterr().err
    assert end.value.code == console_script.EXIT_USAGE
    assert complaint.startswith(f"{PROGRAM}: {file}: ")
    assert complaint.count("\n") == 1
    assert said in complaint


def test_a_file_that_is_not_there_or_no_text(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse("--config", str(file))
    assert f"cannot read {file}: No such file" in capsys.readouterr().err
    file.write_bytes(b"\xff")
    with pytest.raises(SystemExit):
        parse("--config", str(file))
    assert "it is not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["he/re", "10.0.0.1:", "10.0.0.1:0", "1.2.3.4:5:6", ":5"]
)
def test_a_variable_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", text)

    with pytest.raises(SystemExit) as end:
        parse()

    assert end.value.code == console_script.EXIT_USAGE
    assert f"PUBSUB_BROKER: {text!r} is not HOST or" in capsys.readouterr().err


# How they are shown


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        parse("--print-config", *words)
    assert end.value.code == console_script.EXIT_OK
    return capsys.readouterr().out


def test_settings_are_shown_with_where_they_come_from(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[common]\ntopic = 'A'")
    monkeypatch.setenv("PUBSUB_BROKER", "10.0.0.2")

    text = shown(capsys, "--config", str(file), "-m", "3")

    assert text.splitlines()[:3] == [
        "[publisher]",
        'topic = ["A"]  # file',
        'broker-address = "10.0.0.2"  # environment',
    ]
    assert "count = 3  # command line" in text
    assert "broker-port = 5555  # default" in text
    assert not {"config", "help", "literal"} & tomllib.loads(text)["publisher"].keys()


def test_a_default_in_a_context_is_shown_with_its_source(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(CONTEXTS)

    text = shown(capsys, "--config", str(file), "--context", "home")

    assert 'broker-address = "127.0.0.1"  # context' in text
    assert "connect-timeout = 30.0  # context" in text


def test_what_cannot_be_shown_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["-m", "many"], "--count: 'many' is not a number"),
        (["-l", "\udcff"], "--literal: TOML needs text in UTF-8"),
    ):
        with pytest.raises(SystemExit) as end:
            parse("--print-config", *words)
        assert end.value.code == console_script.EXIT_USAGE
        assert said in capsys.readouterr().err


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    topics=st.lists(st.text(st.characters(codec="utf-8"), min_size=1)),
    text=st.text(st.characters(codec="utf-8")),
    count=st.integers(1),
    rate=st.floats(0.001, 1e9),
    indefinite=st.booleans(),
)
def test_what_is_shown_says_the_same_when_it_is_read(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    topics: list[str],
    text: str,
    count: int,
    rate: float,
    indefinite: bool,
) -> None:
    words = [f"--topic={topic}" for topic in topics]
    words += [f"--literal={text}", f"--count={count}", f"--rate={rate}"]
    words += ["-i"] if indefinite else []

    text_shown = shown(capsys, *words)
    assert all(line.isprintable() for line in text_shown.split("\n"))
    file.write_text(text_shown)

    def values(options: console_script.Options) -> dict[str, Any]:
        return {name: options[name] for name in options if name != "--config"}

    again, first = parse("--config", str(file)), parse(*words)
    assert values(again) == values(first)
    for name in first:
        if name != "--config":
            assert bool(console_script.source_of(again, name)) == bool(
                console_script.source_of(first, name)
            )
