"""The console script: options, bad input, and one run from its start to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fake_broker import FakeBroker
from support.ports import unused_port
from support.raw_sockets import RawSubscriber

from pubsub_common.cli import console_script
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import __version__, cli
from pubsub_publisher.config import PublisherConfig
from pubsub_publisher.input.options import source_rate

Subscribe = Callable[..., RawSubscriber]

MINIMUM = ["-t", "A", "-b", "127.0.0.1"]


def nobody(topics: str) -> str:
    """The line about ``topics`` without subscribers."""
    return (
        f"pubsub-publisher: nobody subscribed to {topics}; events without a subscriber are "
        "dropped (--wait-for N waits for N subscribers)\n"
    )


class Outcome:
    """What a program left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def complaint(self) -> str:
        """The only line on standard error."""
        assert self.err.startswith("pubsub-publisher: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("pubsub-publisher: ").removesuffix("\n")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the program in this process."""

    def run(*argv: str) -> Outcome:
        capsys.readouterr()
        try:
            code = cli.main(argv)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


def config(*argv: str) -> PublisherConfig:
    """What a command line asks of the publisher."""
    return cli.config_of(console_script.parse(cli.USAGE, argv, cli.PROGRAM, "0"))


# Options


def test_the_defaults_are_those_of_the_class() -> None:
    by_default = PublisherConfig(topics=("A",), broker_port=5555, declared_only=True)
    assert config(*MINIMUM) == by_default


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("-t B", "topics", ("A", "B")),
        ("--topic B --topic C", "topics", ("A", "B", "C")),
        ("--topic my_topic", "topics", ("A", "my_topic")),
        ("--attach-timeout 0.5", "attach_timeout_s", 0.5),
        ("--wait-for 1", "attach_timeout_s", 0.0),
        ("--hold", "attach_timeout_s", 0.0),
        ("--wait-for 1 --attach-timeout 2", "attach_timeout_s", 2.0),
        ("-m 7", "max_event_count", 7),
        ("--max-event-count 7", "max_event_count", 7),
        ("--max_event_count 7", "max_event_count", 7),
        ("--max_event_count=7", "max_event_count", 7),
        ("-i", "indefinite", True),
        ("--indefinite", "indefinite", True),
        ("-s 0.25", "sleep_period", 0.25),
        ("--sleep 0", "sleep_period", 0.0),
        ("-bp 6000", "bind_port", 6000),
        ("--bind-port 6000", "bind_port", 6000),
        ("--bind_port 6000", "bind_port", 6000),
        ("--broker-port 7000", "broker_port", 7000),
        ("--broker_port 7000", "broker_port", 7000),
        ("--connect-timeout 1.5", "connect_timeout_s", 1.5),
        ("--address 127.0.0.9", "address", "127.0.0.9"),
        ("--payload-size 0", "payload_bytes", 0),
        ("--overflow block", "overflow", "block"),
        ("--queue-limit 5", "queue_limit", 5),
        ("--clock monotonic", "clock", "monotonic"),
        ("--count 7", "max_event_count", 7),
        ("--rate 4", "sleep_period", 0.25),
        ("--stdin", "overflow", "block"),
        ("-l x --overflow drop", "overflow", "drop"),
    ],
)
def test_an_option_becomes_an_argument(words: str, name: str, value: object) -> None:
    assert getattr(config(*MINIMUM, *words.split()), name) == value


@pytest.mark.parametrize(
    ("words", "a_second"),
    [("", None), ("-s 0", None), ("-s 0.25", 4), ("--rate 8", 8)],
)
def test_a_given_pause_is_between_payloads_too(
    words: str, a_second: float | None
) -> None:
    argv = ["A", "x", *words.split()]
    options = console_script.parse(cli.USAGE, argv, cli.PROGRAM, "0")

    assert source_rate(options) == a_second


@pytest.mark.parametrize("option", ["-b", "--broker-address", "--broker_address"])
def test_the_brokers_address_may_be_spelled_in_each_way(option: str) -> None:
    assert config("-t", "A", option, "10.0.0.1").broker_address == "10.0.0.1"


# Bad input: one line, exit code 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "no topic given; add TOPIC"),
        ("-b 127.0.0.1", "no topic given; add TOPIC"),
        ("-t A -b bro/ker", "'bro/ker' is not an IP address like 10.0.0.1"),
        ("-t A -b 1.2.3", "'1.2.3' is not an IP address like 10.0.0.1"),
        ("-t A -b 0.0.0.0", "0.0.0.0 is not the address of one host"),
        ("-t A -b 127.0.0.1:", "'127.0.0.1:' is not HOST or HOST:PORT like 10.0.0.1"),
        ("-t A -b fe80::1", "fe80::1 is of one link only"),
        ("-t A -b [::1]:", "'[::1]:' is not HOST or HOST:PORT like 10.0.0.1:5555"),
        (
            "-t A -b localhost:5557 --broker-port 5556",
            "'localhost:5557' and the port 5556, given apart, contradict each other",
        ),
        ("-m many", "--count: 'many' is not a whole number"),
        ("-m 1.5", "--count: '1.5' is not a whole number"),
        ("-m 0", "--count: 0 is too small; at least 1 is needed"),
        ("-m -5", "--count: -5 is too small; at least 1 is needed"),
        ("--max_event_count=-5", "--count: -5 is too small"),
        ("-s slowly", "--sleep: 'slowly' is not a number of seconds"),
        ("-s -1", "--sleep: -1 is not a duration of 0 or more seconds"),
        ("-s nan", "--sleep: nan is not a duration of 0 or more seconds"),
        ("-s inf", "--sleep: inf is not a duration of 0 or more seconds"),
        ("-bp x", "--bind-port: 'x' is not a whole number"),
        ("--bind-port=-1", "--bind-port: -1 is too small; at least 0 is needed"),
        ("-bp 65536", "--bind-port: 65536 is not a valid port"),
        ("--broker-port 65536", "--broker-port: 65536 is not a valid port (1-65535)"),
        ("--connect-timeout soon", "--connect-timeout: 'soon' is not a number of"),
        ("--connect-timeout -1", "--connect-timeout: -1 is not a duration"),
        ("--payload-size -1", "--payload-size: -1 is too small; at least 0"),
        ("--payload-size 99999999999", "--payload-size must be in 0..67108864"),
        ("--queue-limit 0", "--queue-limit: 0 is too small; at least 1 is needed"),
        ("--queue-limit 99999999999", "--queue-limit must be in 1..2147483647"),
        ("--wait-for 0", "--wait-for: 0 is too small; at least 1 is needed"),
        ("--wait-for all", "--wait-for: 'all' is not a whole number"),
        ("--overflow wait", "overflow must be 'drop' or 'block': 'wait'"),
        ("--clock sundial", "clock must be 'realtime' or 'monotonic': 'sundial'"),
        ("--address no/where", "'no/where' is not an IP address"),
        ("--colour", "unknown option --colour; try pubsub-publisher --help"),
        ("--maxevents 5", "unknown option --maxevents"),
        ("-x", "unknown option -x; try pubsub-publisher --help"),
        ("-c", "unknown option -c; try pubsub-publisher --help"),
        ("--template {colour}", "--template: {colour} is not a field of a payload"),
        ("--template x -l x", "--literal and --template exclude each other"),
        ("--template x --hold", "--hold is for generated events"),
        ("--template x -0", "-0 is for --stdin only"),
        ("-m", "-m requires a value: -m N; try pubsub-publisher --help"),
        ("-m 1 -m 2", "--count is given more than once"),
        ("--stdin -l x", "--stdin and --literal exclude each other"),
        ("--stdin --file x", "--stdin and --file exclude each other"),
        ("--file /nowhere/x", "cannot read /nowhere/x: there is no such file"),
        ("--file /", "cannot read /: it is a folder"),
        ("-0", "-0 is for --stdin only"),
        ("-l x -0", "-0 is for --stdin only"),
        ("-l x --count 0", "--count: 0 is too small; at least 1 is needed"),
        ("-l x --rate 0", "--rate: 0 is not more than 0 events a second"),
        ("-l x --rate nan", "--rate: nan is not more than 0 events a second"),
        ("-l x --rate fast", "--rate: 'fast' is not a number"),
        ("--rate 5 -s 1", "--rate and --sleep exclude each other"),
        ("-l x --rate 5 -s 1", "--rate and --sleep exclude each other"),
        ("-m 5 --count 5", "--count is given more than once"),
        ("--stdin --hold", "--hold is for generated events, so not with --stdin"),
        ("-l x --report r", "--report is for generated events, so not with a PAYLOAD"),
        ("-l x --payload-size 9", "--payload-size is for generated events"),
        ("--stdin --arrivals poisson", "--arrivals is for generated events"),
        ("--stdin -i", "--stdin is published once, so not with -i"),
        ("--file x -i", "--file is published once, so not with -i"),
        ("-l x -i -m 3", "-m and -i exclude each other"),
        ("--arrivals-seed 3", "--arrivals-seed is for --arrivals poisson only"),
        ("--history-bytes 9", "--history-bytes is for --history only"),
        ("--name=", "--name: the value is empty"),
    ],
)
def test_bad_input_is_one_line_that_says_what_and_exit_code_2(
    run: Callable[..., Outcome], words: str, complaint: str
) -> None:
    given = words.split()
    rest = [] if not words or words.startswith(("-t A", "-b 127")) else MINIMUM

    outcome = run(*rest, *given)

    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("topic", "complaint"),
    [
        ("", "-t: the value is empty"),
        ("A\tB", "holds a control character"),
        ("x" * 256, "is 256 bytes long; at most 255 are allowed"),
    ],
)
def test_a_bad_topic_is_one_line_and_exit_code_2(
    run: Callable[..., Outcome], topic: str, complaint: str
) -> None:
    outcome = run("-b", "127.0.0.1", "-t", topic)

    assert outcome.code == 2
    assert complaint in outcome.complaint


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_standard_output(run: Callable[..., Outcome], option: str) -> None:
    outcome = run(option)

    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage:\n  pubsub-publisher [TOPIC [PAYLOAD]...] [options]" in outcome.out
    assert "Exit codes: 0 done" in outcome.out
    for line in outcome.out.splitlines():
        assert len(line) <= 88


def test_the_version_goes_to_standard_output(run: Callable[..., Outcome]) -> None:
    outcome = run("--version")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"pubsub-publisher {__version__}\n"


# Failures of a run: one line, exit code 1


def test_an_unreachable_broker_is_one_line_and_exit_code_1(
    run: Callable[..., Outcome],
) -> None:
    with unused_port() as port:
        argv = (*MINIMUM, "--broker-port", str(port), "--connect-timeout", "0.1")
        outcome = run(*argv)

    assert outcome.code == 1
    assert f"no broker answered at tcp://127.0.0.1:{port}" in outcome.complaint


def test_a_refusal_is_one_line_and_exit_code_1(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    broker.refusal = ("wrong_clock", "sundials only")

    outcome = run(*MINIMUM, "--broker-port", str(broker.port))

    assert outcome.code == 1
    assert outcome.complaint == ("the broker rejected the registration: sundials only")


def test_a_name_that_is_not_known_is_one_line_and_exit_code_1(
    run: Callable[..., Outcome],
) -> None:
    outcome = run("-t", "A", "-b", "broker.invalid", "--connect-timeout", "0")

    assert outcome.code == 1
    assert "no IP address is known of 'broker.invalid'" in outcome.complaint


# Runs


def test_the_broker_may_have_a_name_and_its_port_with_it(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    where = f"localhost:{broker.port}"
    outcome = run("-t", "A", "-b", where, *("-m", "1", "-bp", "0"))

    assert (outcome.code, outcome.err) == (0, nobody("A"))
    assert len(broker.of(Register)) == 1


def run_options(broker: FakeBroker) -> list[str]:
    return [
        *MINIMUM,
        *("--broker-port", str(broker.port)),
        *("--bind-port", "0"),
    ]


class Reception:
    """A thread that subscribes when a publisher has registered, and receives."""

    def __init__(self, broker: FakeBroker, subscribe: Subscribe, count: int) -> None:
        self.payloads: list[bytes] = []
        self._broker = broker
        self._subscribe = subscribe
        self._count = count
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wait_for(lambda: self._broker.of(Register), "a registration")
        address = self._broker.of(Register)[0].address

        class At:
            def __init__(self) -> None:
                self.address = address

        subscriber = self._subscribe(At(), "A", session=5)
        self.payloads += [event.payload for event in subscriber.events(self._count)]

    @property
    def ended(self) -> bool:
        self._thread.join(WAIT_S)
        return not self._thread.is_alive()


def test_it_publishes_when_the_subscribers_are_there(
    run: Callable[..., Outcome], broker: FakeBroker, subscribe: Subscribe
) -> None:
    reception = Reception(broker, subscribe, 5)

    outcome = run(
        *run_options(broker),
        *("-s", "0", "-m", "5", "--wait-for", "1", "--payload-size", "8"),
    )

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert reception.ended
    assert reception.payloads == [f"event {k} ".encode() for k in range(5)]
    assert broker.farewells()[0].next_sequences == {"A": 5}


@pytest.mark.parametrize(
    ("words", "written", "payloads"),
    [
        (["--stdin"], b"one\n\ntwo\0\nlast", [b"one", b"", b"two\0", b"last"]),
        (["--stdin", "-0"], b"one\n\0two\0", [b"one\n", b"two"]),
        (["--stdin", "--count", "2"], b"one\ntwo\nthree\n", [b"one", b"two"]),
        (["--stdin", "-m", "1"], b"one\ntwo\n", [b"one"]),
        (["--stdin", "--rate", "1000"], b"one\ntwo\n", [b"one", b"two"]),
        (["-l", "text"], b"", [b"text"]),
        (["-l", "a", "-l", "b"], b"", [b"a", b"b"]),
        (["-l", "a", "-l", "b", "--count", "3"], b"", [b"a", b"b", b"a"]),
        (["-l", "\udcff"], b"", [b"\xff"]),
        (["-l", "", "--count", "3"], b"", [b"", b"", b""]),
        (["--template", "n{count}"], b"", [b"n1"]),
        (["--template", "{count}", "--count", "2", "--rate", "500"], b"", [b"1", b"2"]),
    ],
)
def test_it_publishes_what_it_is_given(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    subscribe: Subscribe,
    stdin: int,
    words: list[str],
    written: bytes,
    payloads: list[bytes],
) -> None:
    reception = Reception(broker, subscribe, len(payloads))
    os.write(stdin, written)
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdin)  # the end of input

    outcome = run(*run_options(broker), "--wait-for", "1", *words)

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert reception.ended
    assert reception.payloads == payloads
    assert broker.farewells()[0].next_sequences == {"A": len(payloads)}


def test_it_publishes_files_to_each_topic(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    subscribe: Subscribe,
    tmp_path: Path,
) -> None:
    contents = [bytes(range(256)), b"\n\xff\0"]
    words = []
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
        words += ["--file", str(tmp_path / str(number))]
    reception = Reception(broker, subscribe, 2)

    outcome = run(*run_options(broker), "-t", "B", "--wait-for", "1", *words)

    assert (outcome.code, outcome.out, outcome.err) == (0, "", nobody("B"))
    assert reception.ended
    assert reception.payloads == contents
    assert broker.farewells()[0].next_sequences == {"A": 2, "B": 2}


def test_verbose_says_more_and_only_on_standard_error(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    outcome = run(*run_options(broker), "-m", "1", "-v")

    assert (outcome.code, outcome.out) == (0, "")
    assert "publishes A\n" in outcome.err


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Replaces standard input; the descriptor that writes to it."""
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield write_fd
        os.close(write_fd)


@pytest.mark.parametrize("line", [b"\n", b"1\n", b" 12 \n"])
def test_a_held_publisher_goes_when_it_is_told(
    run: Callable[..., Outcome], broker: FakeBroker, stdin: int, line: bytes
) -> None:
    os.write(stdin, line)

    outcome = run(*run_options(broker), "-s", "0", "-m", "3", "--hold")

    assert (outcome.code, outcome.out, outcome.err) == (0, "ready\n", nobody("A"))
    assert broker.farewells()[0].next_sequences == {"A": 3}


def test_an_invalid_start_time_is_one_line_and_exit_code_2(
    run: Callable[..., Outcome], broker: FakeBroker, stdin: int
) -> None:
    os.write(stdin, b"now\n")

    outcome = run(*run_options(broker), "--hold")

    assert outcome.code == 2
    assert outcome.complaint == "--hold: 'now' is not a time in nanoseconds"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "waiting",
    [
        ["--indefinite"],
        ["--indefinite", "--sleep", "3600"],
        ["--wait-for", "1"],
        ["--hold"],
        ["--stdin"],
        ["-l", "x", "--count", "2", "--rate", "0.0001"],
    ],
    ids=" ".join,
)
def test_a_signal_ends_whatever_it_is_doing_with_exit_code_0(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    stdin: int,
    number: signal.Signals,
    waiting: list[str],
) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def send() -> None:
        wait_for(lambda: broker.of(Register), "a registration")
        signal.pthread_kill(threading.main_thread().ident or 0, number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    outcome = run(*run_options(broker), *waiting)
    thread.join()

    assert outcome.code == 0
    assert outcome.err in ("", nobody("A"))
    assert len(broker.farewells()) == 1
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    ]


def test_a_signal_ends_the_wait_for_a_broker_with_exit_code_0(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    broker.silent = True

    def send() -> None:
        wait_for(lambda: broker.of(Register), "a registration")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    outcome = run(*run_options(broker), "--connect-timeout", "3600")
    thread.join()

    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    "program",
    [
        [str(Path(sys.executable).parent / "pubsub-publisher")],
        [sys.executable, "-m", "pubsub_publisher"],
    ],
    ids=["script", "module"],
)
def test_the_installed_program_says_its_version_and_complains_in_one_line(
    program: list[str],
) -> None:
    version = subprocess.run(
        [*program, "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    bad = subprocess.run(
        [*program, "-b", "x"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout == f"pubsub-publisher {__version__}\n"
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "pubsub-publisher: no topic given; add TOPIC\n"


def test_of_many_topics_that_nobody_subscribed_to_some_are_named(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    topics = [word for name in "BCDEFGH" for word in ("-t", name)]
    outcome = run(*run_options(broker), *topics, "-l", "x")

    assert (outcome.code, outcome.err) == (0, nobody("A, B, C, D, E and 3 more"))
