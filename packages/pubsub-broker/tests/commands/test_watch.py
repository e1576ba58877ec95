"""The commands status --watch and check, and the screen."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from rich.console import Console

from pubsub_broker.cli import main
from pubsub_broker.commands import check
from pubsub_broker.monitoring.status_screen import screen
from pubsub_common.cli import console_script
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import ClientStatus, Latency, Registered, Status
from pubsub_common.protocol.versions import VERSIONS

WAIT_S = 60
Start = Callable[..., Any]


def status_of(
    lost: int, *topics: str, uptime_s: float = 10.0, forwarded: int = 0
) -> Status:
    client = ClientStatus(
        role="subscriber",
        session=1,
        address="10.0.0.2",
        topics=list(topics),
        idle_s=0.5,
        lost={topics[0]: lost} if lost else {},
    )
    return Status(
        id=1,
        epoch=2,
        model="centralized",
        uptime_s=uptime_s,
        clients=[client],
        forwarded=forwarded,
    )


def shown(
    status: Status, before: Status | None = None, trouble: str = "", width: int = 120
) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(screen(status, before, trouble))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


def test_the_screen_shows_what_changed_since_the_report_before() -> None:
    before = status_of(5, "A", uptime_s=10.0, forwarded=100)
    text = shown(status_of(12, "A", uptime_s=12.0, forwarded=200), before)

    assert "200 messages forwarded, 50.0 a second now" in text
    (topic,) = (line for line in text.splitlines() if line.startswith("A "))
    assert topic.split() == ["A", "0", "1", "12", "+7"]


def test_the_screen_shows_rates_and_latencies() -> None:
    status = status_of(0, "A")
    latency = Latency(count=9, p50_ns=64_200, p99_ns=1_310_000, max_ns=2_000_000_000)
    subscriber = msgspec.structs.replace(status.clients[0], latency=latency)
    publisher = ClientStatus(
        role="publisher",
        session=2,
        address="10.0.0.1:5556",
        topics=["A"],
        idle_s=0.1,
        rates={"A": 1234.5},
    )
    text = shown(msgspec.structs.replace(status, clients=[subscriber, publisher]))

    (topic,) = (line for line in text.splitlines() if line.startswith("A "))
    assert topic.split()[3] == "1,234.5"
    (line,) = (line for line in text.splitlines() if "10.0.0.2" in line)
    assert cells(line)[-3:] == ["64.2 us", "1.31 ms", "2 s"]


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_at_80_columns_only_topics_are_cut() -> None:
    topics = ["a/topic/of/some/length/that/does/not/fit", "another"]
    latency = Latency(count=9, p50_ns=123_000, p99_ns=1_310_000, max_ns=12_300_000)
    subscriber = ClientStatus(
        role="subscriber",
        session=1,
        address="192.168.100.200",
        topics=topics,
        idle_s=10.5,
        lost={topics[0]: 1_234_567},
        latency=latency,
    )
    publisher = ClientStatus(
        role="publisher",
        session=2,
        address="192.168.100.200:55556",
        topics=topics,
        idle_s=0.1,
        rates={topics[0]: 123_456.7},
    )
    status = Status(
        id=1,
        epoch=2,
        model="centralized",
        uptime_s=9.0,
        clients=[publisher, subscriber],
        expected=[publisher, subscriber],
    )
    before = msgspec.structs.replace(status, clients=[publisher])
    text = shown(status, before, width=80)

    assert all(len(line) <= 80 for line in text.splitlines())
    table = [cells(line) for line in text.splitlines()]
    assert ["topic", "pubs", "subs", "events/s", "lost", "lost now"] in table
    assert ["publisher", "topics", "seen", "lost"] in table
    assert ["subscriber", *["topics", "seen", "lost", "p50", "p99", "max"]] in table
    assert ["expected back", "role", "topics", "seen", "lost"] in table
    of_topic = [line for line in table if line[0].startswith("a/topic/of/some/len")]
    assert of_topic[0][1:] == ["1", "1", "123,456.7", "1234567", "+1234567"]
    ours = [line for line in table if line[0] == "192.168.100.200"]
    assert ours[0][2:] == ["10.5 s", "1234567", "123 us", "1.31 ms", "12.3 ms"]
    assert ours[0][1].startswith("a/topic/")
    assert ours[0][1].endswith("…")
    assert ours[1][3:] == ["10.5 s", "1234567"]
    assert sum(line[0] == "192.168.100.200:55556" for line in table) == 2


@pytest.mark.parametrize(
    ("order", "topics", "clients"),
    [
        ("l", ["B", "A", "C"], ["mia", "zoe"]),
        ("n", ["A", "B", "C"], ["mia", "zoe"]),
        ("r", ["C", "A", "B"], ["mia", "zoe"]),
        ("t", ["A", "B", "C"], ["zoe", "mia"]),
    ],
)
def test_the_screen_is_sorted_by_a_key(
    order: str, topics: list[str], clients: list[str]
) -> None:
    usual: dict[str, Any] = {"role": "subscriber", "topics": ["A", "B", "C"]}
    slow = Latency(count=1, p50_ns=1, p99_ns=9, max_ns=9)
    zoe = ClientStatus(session=1, address="10.0.0.1", name="zoe", latency=slow, **usual)
    mia = ClientStatus(
        session=2, address="10.0.0.2", name="mia", lost={"B": 1}, **usual
    )
    publisher = ClientStatus(
        role="publisher",
        session=3,
        address="10.0.0.3:1",
        topics=["A", "B", "C"],
        rates={"A": 1.0, "C": 2.0},
    )
    status = msgspec.structs.replace(status_of(0, "A"), clients=[zoe, mia, publisher])
    console = Console(file=io.StringIO(), width=80)
    console.print(screen(status, None, "", order, keys=True))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]

    first = [line.split()[0] for line in lines if line]
    assert [word for word in first if word in topics] == topics
    assert [word for word in first if word in clients] == clients
    assert "q quit; sort by l lost n name r rate t latency" in lines


def test_a_long_name_leaves_room_for_the_numbers() -> None:
    status = status_of(1_234_567, "A")
    latency = Latency(count=9, p50_ns=123_000, p99_ns=1_310_000, max_ns=12_300_000)
    named = msgspec.structs.replace(status.clients[0], name="n" * 64, latency=latency)
    text = shown(msgspec.structs.replace(status, clients=[named]), width=80)

    (line,) = (line for line in text.splitlines() if line.startswith("n"))
    assert cells(line)[1:] == ["A", "0.5 s", "1234567", "123 us", "1.31 ms", "12.3 ms"]


def test_the_screen_says_why_it_is_old() -> None:
    assert "nobody answers" in shown(status_of(0, "A"), None, "nobody answers")


def test_a_topic_is_no_markup_and_moves_no_cursor() -> None:
    text = shown(status_of(0, "[bold]x[/bold]", "[/]", "\x1b[2J"))

    assert "[bold]x[/bold], [/], \\x1b[2J" in text
    assert "\x1b" not in text


# Processes


def command(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pubsub_broker", *words], text=True, **options
    )


def join(context: zmq.Context[zmq.Socket[bytes]], port: int, topic: str) -> None:
    dealer = context.socket(zmq.DEALER)
    dealer.rcvtimeo = WAIT_S * 1000
    dealer.connect(f"tcp://127.0.0.1:{port}")
    request = messages.Register(
        id=1,
        versions=VERSIONS,
        role="publisher",
        topics=[topic],
        address="127.0.0.1:1",
        clock="realtime",
    )
    dealer.send(messages.encode(request))
    assert isinstance(messages.decode_reply(dealer.recv()), Registered)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_goes_on_until_a_signal_and_ends_quietly(
    broker_process: Start, number: int
) -> None:
    broker = broker_process("-c")
    words = ["status", "--watch", "--broker-port", str(broker.port)]
    watching = command(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watching.stdout is not None

    lines = [watching.stdout.readline() for _ in range(5)]
    watching.send_signal(number)
    _, err = watching.communicate(timeout=WAIT_S)

    assert lines[0].startswith("centralized broker, up for ")
    assert "a second since its start" in lines[1]
    assert lines[2] == "\n"
    assert lines[3].startswith("centralized broker, up for ")
    assert "0.0 a second now" in lines[4]
    assert (watching.returncode, err) == (0, "")


def test_watch_can_write_an_object_a_line(broker_process: Start) -> None:
    broker = broker_process()
    words = ["status", "--watch", "--json", "--broker-port", str(broker.port)]
    watching = command(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watching.stdout is not None

    first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=WAIT_S)

    assert first["type"] == "status_report"
    assert (first["clients"], first["brokers"], first["registry"]) == ([], [], None)
    assert second["uptime_s"] > first["uptime_s"]


def test_watch_on_a_terminal_is_one_screen_that_changes(
    broker_process: Start, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    broker = broker_process("-c")
    ours, its = pty.openpty()
    words = ["status", "--watch", "--broker-port", str(broker.port)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    watching = command(*words, stdout=its, stderr=subprocess.PIPE, env=environment)
    os.close(its)
    try:
        seen = until(ours, b"lost now")
        assert b"later/topic" not in seen
        join(context, broker.port, "later/topic")
        until(ours, b"later/topic")
        watching.send_signal(signal.SIGINT)
        rest = to_the_end(ours)
        _, err = watching.communicate(timeout=WAIT_S)
    finally:
        watching.kill()
        os.close(ours)

    assert (watching.returncode, err) == (0, "")
    # The previous screen is shown again.
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in rest


def test_keys_sort_the_screen_and_q_leaves_the_terminal_as_it_was(
    broker_process: Start, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    broker = broker_process("-c")
    ours, its = pty.openpty()
    before = termios.tcgetattr(its)
    words = ["status", "--watch", "--interval", "60", "--broker-port", str(broker.port)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    watching = command(
        *words, stdin=its, stdout=its, stderr=subprocess.PIPE, env=environment
    )
    try:
        first = until(ours, b"latency")
        assert b"\x1b[1ml lost" in first
        os.write(ours, b"\x1b[A")  # an arrow key
        os.write(ours, b"n")
        until(ours, b"\x1b[1mn name")
        os.write(ours, b"q")
        rest = until(ours, b"\x1b[?1049l")
        _, err = watching.communicate(timeout=WAIT_S)
        after = termios.tcgetattr(its)
    finally:
        watching.kill()
        os.close(ours)
        os.close(its)

    assert (watching.returncode, err) == (0, "")
    assert after == before
    assert b"q" not in rest.replace(b"q quit", b"")


def test_watch_does_not_ask_too_often(
    capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    words = ["status", "--watch", "--interval", "0.05"]
    assert main(words) == console_script.EXIT_USAGE

    said = capsys.readouterr().err
    assert said == ("pubsub-broker status: --interval must be at least 0.1 seconds\n")


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_watch_on_a_terminal_that_has_no_screen_goes_on_line_by_line(
    broker_process: Start, term: str | None
) -> None:
    broker = broker_process("-c")
    ours, its = pty.openpty()
    words = ["status", "--watch", "--broker-port", str(broker.port)]
    environment = {name: text for name, text in os.environ.items() if name != "TERM"}
    if term is not None:
        environment["TERM"] = term
    watching = command(*words, stdout=its, stderr=subprocess.PIPE, env=environment)
    os.close(its)
    try:
        seen = until(ours, b"a second now")
        watching.send_signal(signal.SIGINT)
        seen += to_the_end(ours)
        _, err = watching.communicate(timeout=WAIT_S)
    finally:
        watching.kill()
        os.close(ours)

    assert (watching.returncode, err) == (0, "")
    assert seen.startswith(b"centralized broker, up for ")
    assert b"\x1b" not in seen


def until(fd: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(fd, 4096)
    return seen


def to_the_end(fd: int) -> bytes:
    seen = b""
    try:
        while piece := os.read(fd, 4096):
            seen += piece
    except OSError:  # Linux raises this when no process has the terminal open
        pass
    return seen


def test_watch_on_a_terminal_without_rich_says_what_to_install(
    broker_process: Start,
) -> None:
    broker = broker_process()
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "from pubsub_broker.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    ours, its = pty.openpty()
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                code,
                "status",
                "--watch",
                "--broker-port",
                str(broker.port),
            ],
            stdout=its,
            stderr=subprocess.PIPE,
            env=os.environ | {"TERM": "xterm"},
            text=True,
            timeout=WAIT_S,
        )
    finally:
        os.close(its)
        os.close(ours)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'pubsub-broker[watch]'" in done.stderr


# check


def test_check_is_0_where_a_broker_answers(
    broker_process: Start,
    capsys: pytest.CaptureFixture[str],
    untouched_logging: None,
) -> None:
    broker = broker_process("-c")

    words = ["check", "-b", "127.0.0.1", "--broker-port", str(broker.port)]
    assert main(words) == console_script.EXIT_OK

    said = capsys.readouterr()
    assert said.out.startswith(
        f"the centralized broker at 127.0.0.1:{broker.port} answers, up for "
    )
    assert (said.out.count("\n"), said.err) == (1, "")


def test_check_is_1_and_a_line_where_none_does(
    capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    with socket.socket() as listening:  # accepts connections, and sends nothing
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = str(listening.getsockname()[1])

        words = ["check", "--broker-port", port, "--timeout", "0.05"]
        assert main(words) == console_script.EXIT_FAILED

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("pubsub-broker check: no broker answered at ")
    assert said.err.count("\n") == 1


COMMANDS = ["status", "check"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("given_by", ["words", "one word", "environment", "file"])
def test_status_and_check_take_the_broker_from_the_same_sources(
    broker_process: Start,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    untouched_logging: None,
    command: str,
    given_by: str,
) -> None:
    port = broker_process("-c").port
    words = {
        "words": ["-b", "127.0.0.1", f"--broker-port={port}", "--timeout", "30"],
        "one word": ["-b", f"localhost:{port}", "--timeout", "30"],
    }.get(given_by, [])
    if given_by == "environment":
        monkeypatch.setenv("PUBSUB_BROKER", f"127.0.0.1:{port}")
    elif given_by == "file":
        settings = f'[common]\nbroker-address = "127.0.0.1"\nbroker-port = {port}\n'
        (tmp_path / "settings.toml").write_text(settings)
        monkeypatch.setenv("PUBSUB_CONFIG", str(tmp_path / "settings.toml"))

    assert main([command, *words]) == console_script.EXIT_OK

    assert "centralized broker" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broker_in_the_options_wins_over_the_environment(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    untouched_logging: None,
    command: str,
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", "127.0.0.9:7777")

    for option in ("-b", "--broker-address"):
        words = [option, "127.0.0.8", "--timeout", "0.01"]
        assert main([command, *words]) == console_script.EXIT_FAILED
        said = capsys.readouterr().err
        assert said.startswith(
            f"pubsub-broker {command}: no broker answered at tcp://127.0.0.8:5555"
        )
        assert said.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "words",
    [
        ["-b", "the/re"],
        ["-b", "a:1", "--broker-port", "2"],
        ["--broker-port", "x"],
        ["--timeout", "-1"],
        ["--bogus"],
    ],
)
def test_what_makes_no_sense_is_one_line_and_2(
    capsys: pytest.CaptureFixture[str],
    untouched_logging: None,
    command: str,
    words: list[str],
) -> None:
    try:
        code: object = main([command, *words])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert (code, said.out, said.err.count("\n")) == (console_script.EXIT_USAGE, "", 1)


def test_check_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        check.main(["--help"])

    assert not end.value.code
    assert "--timeout" in capsys.readouterr().out
