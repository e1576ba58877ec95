"""What the console scripts share."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.leftovers import Leftovers

from pubsub_common.cli import console_script, option_texts
from pubsub_common.cli.settings import Source
from pubsub_common.errors import BrokerUnreachable, ConfigError

PROGRAM = "pubsub-thing"
USAGE = f"""Do a thing.

Usage:
  {PROGRAM} [TOPIC [PAYLOAD]...] [options]

What:
{option_texts.TOPIC_OPTION}
  -l TEXT, --literal TEXT         a text; repeat for more
{option_texts.CENTRALIZED_OPTION}

Where:
{option_texts.CLIENT_OPTIONS}

How long:
{option_texts.COUNT_OPTION}
{option_texts.INDEFINITE_OPTION}

Rare:
{option_texts.QUEUE_OPTION}
{option_texts.VERBOSE_OPTION}
{option_texts.COMMON_END}
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUBSUB_BROKER", "PUBSUB_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def parse(*words: str) -> console_script.Options:
    return console_script.parse(USAGE, words, PROGRAM, "1.2.3")


# Words


def test_the_shared_options_are_parsed_with_their_defaults() -> None:
    options = parse("-t", "A", "--topic", "B")

    assert options == {
        "--topic": ["A", "B"],
        "--literal": [],
        "--broker-address": "127.0.0.1",
        "--broker-port": "5555",
        "--connect-timeout": "30",
        "--attach-timeout": "1",
        "--keys": None,
        "--context": None,
        "--name": None,
        "--indefinite": False,
        "--count": None,
        "--centralized": False,
        "--address": None,
        "--clock": "realtime",
        "--queue-limit": "10000",
        "--verbose": False,
        "--config": None,
        "--man": False,
        "--print-config": False,
        "--completion": None,
        "--help": False,
        "--version": False,
    }


def test_the_words_come_from_the_command_line_when_none_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [PROGRAM, "-c"])

    assert console_script.parse(USAGE, None, PROGRAM, "1.2.3")["--centralized"] is True


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--colour"], "unknown option --colour"),
        (["--centralised"], "unknown option --centralised (did you mean --central"),
        (["--max_evnt_count=3"], "unknown option --max_evnt_count; try"),
        (["--port", "3"], "unknown option --port (did you mean --broker-port?)"),
        (["--prot", "3"], "unknown option --prot (did you mean --broker-port?)"),
        (["--secure", "d"], "unknown option --secure (did you mean --keys?)"),
        (["-p", "3"], "unknown option -p (did you mean --broker-port?)"),
        (["-port=3"], "unknown option -port (did you mean --broker-port?)"),
        (["--host", "h"], "unknown option --host (did you mean --broker-address?)"),
        (["--message", "m"], "unknown option --message (did you mean --literal?)"),
        (
            ["--c"],
            "--c is the beginning of several options: --centralized, --context, ",
        ),
        (["--clock"], "--clock requires a value: --clock CLOCK"),
        (["--clock", "--", "x"], "--clock requires a value: --clock CLOCK"),
        (["--centralized=yes"], "--centralized takes no value"),
        (["-q"], "unknown option -q; try "),
        (["-q", "7"], "unknown option -q; try "),
        (["-c", "-c"], "--centralized is given more than once"),
        (["-m", "2", "--max-event-count", "2"], "--count is given more than once"),
        (["pubsub://h/A", "-b", "h"], "--broker-address and pubsub://h/A both name a"),
        (["-b", "pubsub://h/A", "x"], "unexpected: x (the topic is named already"),
        (["-b", "tcp://h"], "'tcp://h': the URL of a broker begins with pubsub://"),
        (
            ["mqtt://h:1/A", "x"],
            "the URL of a broker begins with pubsub:// (a topic like this needs -t)",
        ),
        (["PUBSUB://"], "'PUBSUB://' names no broker"),
        (["A", "--context="], "--context: the value is empty"),
        (["A", "--context", ""], "--context: the value is empty"),
        (["-t", "A", "text"], "unexpected: text (the topic is named already; -l TEXT"),
    ],
)
def test_words_that_do_not_fit_cost_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(*words)

    said = capsys.readouterr()
    assert end.value.code == console_script.EXIT_USAGE
    assert said.out == ""
    assert said.err.startswith(f"{PROGRAM}: ")
    assert said.err.endswith(f"; try {PROGRAM} --help\n")
    assert said.err.count("\n") == 1
    assert reason in said.err


def test_a_missing_word_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console_script.parse("Usage: x NAME", [], "x", "1")

    assert capsys.readouterr().err == ("x: NAME is missing: x NAME; try x --help\n")


@pytest.mark.parametrize("rest", [[], ["--out", "y"]])
def test_a_missing_choice_of_options_is_named(
    rest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    usage = "Usage: x save DIR (--a | --b) [options]\n\nOptions:\n  --a  a\n  --b  b\n"
    with pytest.raises(SystemExit):
        console_script.parse(f"{usage}  --out OUT  c\n", ["save", "d", *rest], "x", "1")

    assert capsys.readouterr().err == (
        "x: --a or --b is missing: x save DIR (--a | --b) [options]; try x --help\n"
    )


@pytest.mark.parametrize(
    ("words", "topics", "texts"),
    [
        (["pubsub://h:1/A", "x"], ["A"], ["x"]),
        (["pubsub://h:1", "A", "x"], ["A"], ["x"]),
        (["PUBSUB://h:1", "A", "x"], ["A"], ["x"]),
        (["A", "-l", ""], ["A"], [""]),
        (["A", "pubsub://h:1"], ["A"], ["pubsub://h:1"]),
    ],
    ids=" ".join,
)
def test_the_first_word_may_be_the_url_of_a_broker(
    words: list[str], topics: list[str], texts: list[str]
) -> None:
    options = parse(*words)

    assert (options["--topic"], options["--literal"]) == (topics, texts)
    if words[0] != "A":
        assert (options["--broker-address"], options["--broker-port"]) == ("h", "1")


def test_a_word_that_has_no_place_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        console_script.parse("Usage: x NAME", ["a", "b"], "x", "1")

    assert (
        capsys.readouterr().err == "x: unexpected: b; expected: x NAME; try x --help\n"
    )


@pytest.mark.parametrize(
    ("words", "topics", "texts"),
    [
        (["A"], ["A"], []),
        (["A", "x"], ["A"], ["x"]),
        (["A", "x", "", "x"], ["A"], ["x", "", "x"]),
        (["A", "x", "-l", "y"], ["A"], ["y", "x"]),
        (["-l", "-x", "-t", "A", "--"], ["A"], ["-x"]),
        (["A", "-5", "-1.5e3", "-"], ["A"], ["-5", "-1.5e3", "-"]),
        (["-c", "--", "-t", "--topic", "--"], ["-t"], ["--topic", "--"]),
    ],
    ids=" ".join,
)
def test_words_without_dashes_are_a_topic_and_texts(
    words: list[str], topics: list[str], texts: list[str]
) -> None:
    options = parse(*words)

    assert (options["--topic"], options["--literal"]) == (topics, texts)
    assert console_script.source_of(options, "--topic") == Source.COMMAND_LINE


@pytest.mark.parametrize("word", ["-h", "--help", "--he", "-ch"])
def test_help_is_the_usage_text(capsys: pytest.CaptureFixture[str], word: str) -> None:
    with pytest.raises(SystemExit) as end:
        parse(word)

    assert not end.value.code
    assert capsys.readouterr().out.strip() == USAGE.strip()


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version_names_program_and_version(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(word)

    assert not end.value.code
    assert capsys.readouterr().out == f"{PROGRAM} 1.2.3\n"


# Values


def test_a_required_option_is_returned() -> None:
    assert (
        console_script.required({"--broker-address": "h"}, "--broker-address", "-b")
        == "h"
    )


@pytest.mark.parametrize("missing", [None, [], ""])
def test_a_missing_required_option_is_named_with_a_hint(missing: object) -> None:
    with pytest.raises(ConfigError, match="no broker address given; add -b HOST"):
        console_script.required(
            {"--broker-address": missing}, "--broker-address", "-b HOST"
        )


@given(st.integers(1, 10**6))
def test_a_whole_number_is_read(value: int) -> None:
    assert console_script.whole_number({"-m": str(value)}, "-m") == value


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "--", "9" * 5000])
def test_an_invalid_whole_number_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"-m: .* is not a whole number"):
        console_script.whole_number({"-m": text}, "-m")


@pytest.mark.parametrize(("text", "minimum"), [("0", 1), ("-5", 0), ("6", 7)])
def test_a_number_below_the_minimum_is_refused(text: str, minimum: int) -> None:
    with pytest.raises(ConfigError, match=f"at least {minimum}"):
        console_script.whole_number({"-m": text}, "-m", minimum)


@pytest.mark.parametrize(("text", "minimum"), [("1", 1), ("65535", 1), ("0", 0)])
def test_a_port_is_read(text: str, minimum: int) -> None:
    assert console_script.port_number({"--port": text}, "--port", minimum) == int(text)


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http"])
def test_an_invalid_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--port"):
        console_script.port_number({"--port": text}, "--port")


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("1.5", 1.5), ("1e3", 1000.0)])
def test_seconds_are_read(text: str, value: float) -> None:
    assert console_script.seconds({"--lease": text}, "--lease") == value


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "-inf", "1s"])
def test_an_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--lease"):
        console_script.seconds({"--lease": text}, "--lease")


# Running


def fail(error: Exception) -> None:
    raise error


def test_work_that_is_done_exits_with_0() -> None:
    assert console_script.run(PROGRAM, lambda: None) == console_script.EXIT_OK


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("bad option"), console_script.EXIT_USAGE, "bad option"),
        (
            BrokerUnreachable("tcp://10.0.0.1:5555", 1),
            console_script.EXIT_FAILED,
            "no broker answered at tcp://10.0.0.1:5555 within 1 s; is it running, and is this "
            "its address and port?",
        ),
        (OSError(28, "Full", "x.csv"), console_script.EXIT_FAILED, "x.csv: Full"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, text: str
) -> None:
    assert console_script.run(PROGRAM, lambda: fail(error)) == code

    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{PROGRAM}: {text}\n")


def test_a_programming_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        console_script.run(PROGRAM, lambda: fail(ZeroDivisionError()))


@pytest.mark.usefixtures("untouched_logging")
@pytest.mark.parametrize(
    ("verbose", "default", "level"),
    [(False, "WARNING", logging.WARNING), (False, "INFO", 20), (True, "INFO", 10)],
)
def test_logging_goes_to_standard_error_under_the_programs_name(
    capsys: pytest.CaptureFixture[str], verbose: bool, default: str, level: int
) -> None:
    console_script.set_up_logging(PROGRAM, verbose=verbose, default=default)

    logging.getLogger("pubsub_test").warning("mind the %s", "gap")

    assert logging.getLogger().level == level
    assert capsys.readouterr() == ("", f"{PROGRAM}: mind the gap\n")


@contextlib.contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs this code, and does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_reader_that_has_left_is_not_an_error() -> None:
    code = """
import sys
from pubsub_common.cli import console_script, option_texts
def work():
    sys.stdin.readline()
    for _ in range(100_000):
        print("line")
@console_script.entry_point("x")
def main():
    return console_script.run("x", work)
sys.exit(main())
"""
    with python(code) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert (process.stderr.read(), process.wait(30)) == ("", 0)


@pytest.fixture(autouse=True)
def _not_under_nohup() -> Iterator[None]:
    """A closed terminal ends programs, also where tests run under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_and_handlers_are_put_back(number: int) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    stopped = threading.Event()

    with console_script.stop_on_signals(stopped.set):
        assert not stopped.is_set()
        signal.raise_signal(number)
        assert stopped.wait(30)

    after = [signal.getsignal(number) for number in numbers]
    assert after == before


def test_a_signal_stops_a_main_thread_that_is_stuck_in_a_wait() -> None:
    read_fd, write_fd = os.pipe()
    # The signal is delivered to another thread, so it interrupts no wait of this one.
    other = threading.Thread(
        target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    )
    with console_script.stop_on_signals(lambda: os.close(write_fd)):
        other.start()
        assert os.read(read_fd, 1) == b""  # until `stop` closes the other end
    other.join()
    os.close(read_fd)


def test_other_signals_do_not_stop() -> None:
    stopped = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with console_script.stop_on_signals(stopped.set):
            signal.raise_signal(signal.SIGUSR1)
        assert not stopped.is_set()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    stopped = threading.Event()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with console_script.stop_on_signals(stopped.set):
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert not stopped.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_says_twice_that_it_is_closed_stops_once() -> None:
    stops: list[None] = []
    stopped = threading.Event()

    def stop() -> None:
        stops.append(None)
        stopped.set()

    with console_script.stop_on_signals(stop):
        signal.raise_signal(signal.SIGHUP)
        assert stopped.wait(30)
        signal.raise_signal(signal.SIGHUP)

    assert len(stops) == 1


def test_no_thread_or_descriptor_is_left_behind() -> None:
    left = Leftovers()
    with console_script.stop_on_signals(lambda: None):
        assert left.threads()
        assert left.files()

    assert not left.threads()
    assert not left.files()


def test_handlers_are_put_back_after_an_error_too() -> None:
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(ZeroDivisionError), console_script.stop_on_signals(lambda: None):
        fail(ZeroDivisionError())

    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("hangs", ["", "threading.Event().wait(60)"])
def test_a_second_signal_ends_the_process_at_once(first: int, hangs: str) -> None:
    code = f"""
import threading
from pubsub_common.cli import console_script, option_texts
def stop():
    print("stopping", flush=True)
    {hangs}
with console_script.stop_on_signals(stop):
    print("ready", flush=True)
    while True:
        threading.Event().wait(60)
"""
    with python(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, first)
        assert process.stdout.readline() == "stopping\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("terminal", [True, False])
def test_output_on_a_terminal_cannot_control_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    console_script.print_line("a\x1b[2J\u202e")
    console_script.print_json('{"a": "\x9b\u202e\U000e0041"}')

    line, json_line, end = capsys.readouterr().out.split("\n")
    assert end == ""
    if terminal:
        assert line == r"a\x1b[2J\u202e"
        assert json_line == r'{"a": "\u009b\u202e\udb40\udc41"}'
    else:
        assert line == "a\x1b[2J\u202e"
        assert json_line == '{"a": "\x9b\u202e\U000e0041"}'


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_is_missing_in_a_log_is_said_in_its_format(
    log_format: str, untouched_logging: None
) -> None:
    console_script.set_up_logging("prog", verbose=False, log_format=log_format)

    said = console_script._left_out("prog", 3)

    text = "3 lines are missing here: the log was not read, or could not be written, in time"
    if log_format == "json":
        entry = json.loads(said)
        assert (entry["level"], entry["message"]) == ("WARNING", text)
    else:
        assert said == f"prog: {text}"
    assert "1 line is missing" in console_script._left_out("prog", 1)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_shows_times_and_colours(no_color: str) -> None:
    code = """
import logging
from pubsub_common.cli import console_script
@console_script.entry_point("x")
def main():
    console_script.set_up_logging("x", verbose=False)
    logging.getLogger("y").warning("careful")
    return console_script.print_error("x", "wrong", 1)
main()
"""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": no_color}
    try:
        subprocess.run(
            [sys.executable, "-c", code],
            stderr=its,
            env=environment,
            check=True,
            timeout=100,
        )
        first, second = os.read(ours, 10_000).decode().splitlines()
    finally:
        os.close(ours)
        os.close(its)
    if no_color:
        assert re.fullmatch(r"\d\d:\d\d:\d\d x: careful", first)
        assert second == "x: wrong"
    else:
        time = r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m"
        assert re.fullmatch(rf"{time} \x1b\[33mx: careful\x1b\[0m", first)
        assert second == "\x1b[31mx: wrong\x1b[0m"
