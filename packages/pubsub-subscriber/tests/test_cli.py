"""The console script: options, bad input, and one run from its start to its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_broker import FakeBroker
from support.ports import unused_port
from support.raw_sockets import RawPublisher

from pubsub_common.cli import console_script
from pubsub_common.measurement.latency_file import HEADER
from pubsub_common.protocol.messages import Model, Register
from pubsub_common.testing import wait_for
from pubsub_common.text.counted import counted
from pubsub_subscriber import __version__, cli
from pubsub_subscriber.config import SubscriberConfig

NewPublisher = Callable[..., RawPublisher]

MINIMUM = ["-t", "A", "-b", "127.0.0.1"]


class Outcome:
    """What a program left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def complaint(self) -> str:
        """The only line on standard error."""
        assert self.err.startswith("pubsub-subscriber: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("pubsub-subscriber: ").removesuffix("\n")


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


def config(*argv: str) -> SubscriberConfig:
    """What a command line asks of the subscriber."""
    return cli.config_of(console_script.parse(cli.USAGE, argv, cli.PROGRAM, "0"))


# Options


def test_the_defaults_are_those_of_the_class() -> None:
    # What it prints has no limit.
    by_default = SubscriberConfig(topics=("A",), broker_port=5555, indefinite=True)
    assert config(*MINIMUM) == by_default


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("-t B", "topics", ("A", "B")),
        ("--topic B --topic C", "topics", ("A", "B", "C")),
        ("--topic my_topic", "topics", ("A", "my_topic")),
        ("--attach-timeout 0.5", "attach_timeout_s", 0.5),
        ("--raw", "centralized", None),
        ("-m 7", "max_event_count", 7),
        ("--max-event-count 7", "max_event_count", 7),
        ("--max_event_count 7", "max_event_count", 7),
        ("-i", "indefinite", True),
        ("--indefinite", "indefinite", True),
        ("-c", "centralized", True),
        ("--centralized", "centralized", True),
        ("-f latencies.csv", "filename", "latencies.csv"),
        ("--filename latencies.csv", "filename", "latencies.csv"),
        ("--filename=my_file.csv", "filename", "my_file.csv"),
        ("--broker-port 7000", "broker_port", 7000),
        ("--broker_port 7000", "broker_port", 7000),
        ("--connect-timeout 1.5", "connect_timeout_s", 1.5),
        ("--address 127.0.0.9", "address", "127.0.0.9"),
        ("--queue-limit 5", "queue_limit", 5),
        ("--clock monotonic", "clock", "monotonic"),
        ("--count 7", "max_event_count", 7),
        ("--raw", "indefinite", True),
        ("--json", "indefinite", True),
        ("--format x", "indefinite", True),
        ("--raw -m 15", "indefinite", False),
        ("--raw --count 7", "max_event_count", 7),
        ("--timeout 1", "indefinite", True),
        ("--timeout 1 --count 7", "indefinite", False),
        ("--timeout 7", "connect_timeout_s", 7.0),
        ("--timeout 0.5", "attach_timeout_s", 0.5),
        ("--timeout 9 --connect-timeout 3", "connect_timeout_s", 3.0),
        ("--exclude B --count 7", "indefinite", True),
        ("-f latencies.csv", "indefinite", False),
        ("-f latencies.csv", "max_event_count", 15),
    ],
)
def test_an_option_becomes_an_argument(
    words: str,
    name: str,
    value: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert getattr(config(*MINIMUM, *words.split()), name) == value


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
        ("-t A -b 0.0.0.0", "0.0.0.0 is not the address of one host"),
        ("-m many", "--count: 'many' is not a whole number"),
        ("-m 0", "--count: 0 is too small; at least 1 is needed"),
        ("-m -5", "--count: -5 is too small; at least 1 is needed"),
        ("--max_event_count=-5", "--count: -5 is too small"),
        ("--broker-port 65536", "--broker-port: 65536 is not a valid port"),
        ("--broker-port -1", "--broker-port: -1 is too small"),
        ("--connect-timeout soon", "--connect-timeout: 'soon' is not a number of"),
        ("--connect-timeout -1", "--connect-timeout: -1 is not a duration"),
        ("--queue-limit 0", "--queue-limit: 0 is too small; at least 1 is needed"),
        ("--queue-limit 99999999999", "--queue-limit must be in 1..2147483647"),
        ("--clock sundial", "clock must be 'realtime' or 'monotonic': 'sundial'"),
        ("--address no/where", "'no/where' is not an IP address"),
        ("-i -f latencies.csv", "-i and -f exclude each other"),
        ("-i -m 7", "-m and -i exclude each other"),
        ("--recover-bytes 9", "is for --recover or --start history only"),
        ("--format=", "--format: the value is empty"),
        ("-f /nowhere/file.csv", "cannot write /nowhere/file.csv: there is no folder"),
        ("-f /", "cannot write /: it is a folder"),
        ("--details /nowhere/file.gz", "cannot write /nowhere/file.gz: there is no"),
        ("--report /nowhere/file", "cannot write /nowhere/file: there is no folder"),
        ("--colour", "unknown option --colour; try pubsub-subscriber --help"),
        ("-x", "-x; try pubsub-subscriber --help"),
        ("-bp 6000", "unknown option -bp"),
        ("-s 1", "unknown option -s; try pubsub-subscriber --help"),
        ("-f", "-f requires a value: -f FILE; try pubsub-subscriber --help"),
        ("-m 1 -m 2", "--count is given more than once"),
        ("-m 1 --count 2", "--count is given more than once"),
        ("--count none", "--count: 'none' is not a whole number"),
        ("--json --raw", "--json and --raw exclude each other"),
        ("--format x --json", "--format and --json exclude each other"),
        (
            "--format {colour}",
            "--format: {colour} is not a field of an event; there are",
        ),
        ("--timeout soon", "--timeout: 'soon' is not a number of seconds"),
        ("--format {time} --clock monotonic", "{time} needs --clock realtime"),
        ("--exec true --dump x", "--exec and --dump exclude each other"),
        ("--exec true --jobs 0", "--jobs: 0 is too small; at least 1 is needed"),
        ("--jobs 2", "--jobs is for --exec only"),
        ("--exec=", "--exec: the value is empty"),
        ("--raw --nest", "--nest is for --json only"),
        ("--dump x -0", "--null is for printing, so not with --dump"),
        ("--exclude a#", "--exclude: 'a#'"),
        ("--sample 0", "--sample: 0 is not more than 0 and at most 100"),
        ("--sample 101", "--sample: 101 is not more than 0 and at most 100"),
        ("--sample half", "--sample: 'half' is not a percentage"),
        ("--dump /nowhere/x", "--dump: cannot write /nowhere/x: No such file"),
        ("-f x.csv --exclude B", "--exclude is for printing, so not with -f"),
        ("-f x.csv --raw", "--raw is for printing, so not with -f"),
        ("-f x.csv --timeout 3", "--timeout is for printing, so not with -f"),
    ],
)
def test_bad_input_is_one_line_that_says_what_and_exit_code_2(
    run: Callable[..., Outcome], words: str, complaint: str
) -> None:
    rest = [] if not words or words.startswith(("-t A", "-b 127")) else MINIMUM

    outcome = run(*rest, *words.split())

    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert outcome.out == ""


def test_a_file_that_cannot_be_written_is_found_before_the_broker_is_asked(
    run: Callable[..., Outcome], broker: FakeBroker, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    outcome = run(*run_options(broker), "-f", str(tmp_path / "file" / "under.csv"))

    assert outcome.code == 2
    assert "cannot write" in outcome.complaint
    assert not broker.requests


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_goes_to_standard_output(run: Callable[..., Outcome], option: str) -> None:
    outcome = run(option)

    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage:\n  pubsub-subscriber [TOPIC]... [options]" in outcome.out
    assert "Exit codes: 0 done" in outcome.out
    for line in outcome.out.splitlines():
        assert len(line) <= 88


def test_the_version_goes_to_standard_output(run: Callable[..., Outcome]) -> None:
    outcome = run("--version")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"pubsub-subscriber {__version__}\n"


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
    broker.refusal = ("wrong_model", "this is a post office")

    outcome = run(*run_options(broker))

    assert outcome.code == 1
    assert outcome.complaint == (
        "the broker rejected the registration: this is a post office"
    )


# Runs


def run_options(broker: FakeBroker) -> list[str]:
    return [*MINIMUM, "--broker-port", str(broker.port)]


def offer(broker: FakeBroker, publisher: RawPublisher, model: Model) -> list[str]:
    """Have the broker name the publisher; the options that suit the model."""
    broker.model = model
    if model == "centralized":
        broker.ports = {"A": publisher.port}
        broker.publishers = [publisher.hidden_info]
        return [*run_options(broker), "-c"]
    broker.publishers = [publisher.info]
    return run_options(broker)


def publish_when_ready(publisher: RawPublisher, *payloads: bytes) -> threading.Thread:
    """A thread that publishes to the first subscriber that comes."""

    def work() -> None:
        publisher.get_ready()
        for payload in payloads:
            publisher.publish("A", payload)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_events_are_printed_and_summed_up(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, model)
    thread = publish_when_ready(publisher, b"hello", "é".encode(), b"\xff\0")

    outcome = run(*options, "-m", "3")
    thread.join()

    assert outcome.code == 0
    words = [line.split(" ") for line in outcome.out.splitlines()]
    assert [(line[0], line[1], line[-1]) for line in words] == [
        ("A", publisher.address, "hello"),
        ("A", publisher.address, "é"),
        ("A", publisher.address, "\\xff\0"),
    ]
    ended, summary = outcome.err.splitlines()
    assert ended == "pubsub-subscriber: ended after 3 events (--count)"
    assert "3 events received, 0 lost; latency min " in summary
    assert len(broker.farewells()) == 1


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["--raw"], "hello\né\n"),
        (["--raw", "-0"], "hello\0é\0"),
        (["--format", "{topic} {payload} {size} {sequence}"], "A hello 5 0\nA é 2 1\n"),
        (["--format", "{payload}", "--null", "--flush"], "hello\0é\0"),
    ],
)
def test_events_are_printed_in_the_form_that_is_asked_for(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    words: list[str],
    out: str,
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")
    thread = publish_when_ready(publisher, b"hello", "é".encode())

    outcome = run(*options, "--count", "2", "-q", *words)
    thread.join()

    assert (outcome.code, outcome.out, outcome.err) == (0, out, "")


def test_commands_are_run_for_events_that_are_not_excluded(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    tmp_path: Path,
) -> None:
    publisher = new_publisher("A", "B")
    options = offer(broker, publisher, "decentralized")
    out = tmp_path / "out"

    def work() -> None:
        publisher.get_ready()
        for topic, payload in (("A", b"1"), ("B", b"2"), ("A", b"3"), ("A", b"4")):
            publisher.publish(topic, payload)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    words = ["-t", "B", "--exclude", "B", "--count", "2", "--exec", f"cat >> {out}"]

    outcome = run(*options, *words)
    thread.join()

    assert (outcome.code, outcome.out) == (0, "")
    assert out.read_text() == "13"
    *_, ended, summary = outcome.err.splitlines()  # B has no answer of its own
    assert ended == "pubsub-subscriber: ended after 2 events (--count)"
    assert "events received, 2 of them chosen, 0 lost" in summary


def test_events_are_written_to_a_folder(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    tmp_path: Path,
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")
    thread = publish_when_ready(publisher, b"hello", b"\xff")

    outcome = run(*options, "--count", "2", "-q", "--dump", str(tmp_path / "events"))
    thread.join()

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    payloads = sorted((tmp_path / "events").glob("*.bin"))
    assert [path.read_bytes() for path in payloads] == [b"hello", b"\xff"]


def test_a_silence_ends_it_with_exit_code_0_after_an_event(
    run: Callable[..., Outcome], broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")
    thread = publish_when_ready(publisher, b"hello")

    outcome = run(*options, "--json", "--timeout", "1")
    thread.join()

    assert outcome.code == 0
    assert outcome.out.count("\n") == 1
    assert '"payload":"hello"' in outcome.out
    ended, summary = outcome.err.splitlines()
    assert ended == "pubsub-subscriber: ended, as no event came for 1 s (--timeout)"
    assert re.fullmatch(
        r"pubsub-subscriber: 1 event received, 0 lost; latency [0-9.]+ (ns|us|ms|s)",
        summary,
    )


def test_a_silence_ends_it_with_exit_code_1_without_any_event(
    run: Callable[..., Outcome], broker: FakeBroker
) -> None:
    outcome = run(*run_options(broker), "-q", "--timeout", "1")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.complaint == "no event came within 1 s"
    assert len(broker.farewells()) == 1


def test_the_timeout_covers_the_search_for_the_broker(
    run: Callable[..., Outcome],
) -> None:
    with unused_port() as port:
        outcome = run(*MINIMUM, "--broker-port", str(port), "-q", "--timeout", "0.1")

    assert outcome.code == 1
    assert "within 0.1 s" in outcome.complaint


def test_losses_are_summed_up(
    run: Callable[..., Outcome], broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")

    def work() -> None:
        publisher.get_ready()
        for sequence in (0, 4, 4, 2):
            publisher.publish("A", sequence=sequence)
        publisher.socket.send(b"A\0nonsense")
        publisher.publish("A", sequence=5)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    outcome = run(*options, "-m", "4")
    thread.join()

    assert "pubsub-subscriber: 4 events received, 2 lost, 1 duplicate dropped, " in (
        outcome.err
    )
    assert "1 out of order, 1 malformed; latency" in outcome.err


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_with_a_file_nothing_is_printed_and_the_file_is_written(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    model: Model,
    tmp_path: Path,
) -> None:
    file = tmp_path / "latencies.csv"
    publisher = new_publisher("A")
    options = offer(broker, publisher, model)
    thread = publish_when_ready(publisher, b"1", b"2")

    outcome = run(*options, "-m", "2", "-f", str(file))
    thread.join()

    assert (outcome.code, outcome.out) == (0, "")
    header, *rows = file.read_text().splitlines()
    assert header == ",".join(HEADER)
    assert [row.rpartition(",")[0] for row in rows] == [f"{publisher.address},A"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["latencies.csv"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0_and_the_file_is_written(
    run: Callable[..., Outcome],
    broker: FakeBroker,
    new_publisher: NewPublisher,
    number: signal.Signals,
    tmp_path: Path,
) -> None:
    file = tmp_path / "latencies.csv"
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def work() -> None:
        publisher.get_ready()
        publisher.publish("A")
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    outcome = run(*options, "-m", "1000", "-f", str(file))
    thread.join()

    assert (outcome.code, outcome.out) == (0, "")
    assert re.match("(0 events|1 event) received, 0 lost", outcome.complaint)
    received = len(file.read_text().splitlines()) - 1
    assert outcome.complaint.startswith(f"{counted(received, 'event')} received")
    assert len(broker.farewells()) == 1
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    ]


def test_a_signal_before_the_broker_answers_ends_it_and_the_file_is_written(
    run: Callable[..., Outcome], broker: FakeBroker, tmp_path: Path
) -> None:
    broker.silent = True
    file = tmp_path / "latencies.csv"

    def work() -> None:
        wait_for(lambda: broker.of(Register), "an attempt")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    outcome = run(*run_options(broker), "--connect-timeout", "3600", "-f", str(file))
    thread.join()

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.complaint == "0 events received, 0 lost"
    assert file.read_text() == ",".join(HEADER) + "\n"


def test_verbose_says_more_and_only_on_standard_error(
    run: Callable[..., Outcome], broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")

    def work() -> None:
        publisher.get_ready()
        publisher.publish("A", sequence=2)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    outcome = run(*options, "-v", "-m", "1")
    thread.join()

    assert outcome.code == 0
    assert "pubsub-subscriber: lost 2 events of A (0 to 1)\n" in outcome.err
    assert outcome.out.count("\n") == 1


SCRIPT = str(Path(sys.executable).parent / "pubsub-subscriber")


@pytest.mark.parametrize(
    "program",
    [[SCRIPT], [sys.executable, "-m", "pubsub_subscriber"]],
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
    assert version.stdout == f"pubsub-subscriber {__version__}\n"
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "pubsub-subscriber: no topic given; add TOPIC\n"


def test_a_reader_that_has_had_enough_ends_it_without_a_complaint(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    """As in ``pubsub-subscriber -i | head -1``."""
    publisher = new_publisher("A")
    options = offer(broker, publisher, "decentralized")
    with subprocess.Popen(
        [SCRIPT, *options, "-i"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            publisher.get_ready()
            publisher.publish("A", b"first")
            assert process.stdout is not None
            assert process.stdout.readline().endswith("first\n")
            process.stdout.close()

            def publish_until_ended() -> bool:
                publisher.publish("A", b"more")
                return process.poll() is not None

            wait_for(publish_until_ended, "its end")
        finally:
            process.kill()
        assert process.stderr is not None
        complaint = process.stderr.read()

    assert process.returncode == 0
    assert complaint.count("\n") == 1
    assert "events received" in complaint
