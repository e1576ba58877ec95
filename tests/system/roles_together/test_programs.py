"""The installed console scripts together: complete runs, and their ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from support.ports import free_port
from support.running_roles import WAIT_S, Program, registered

from pubsub_common.measurement.latency_file import HEADER
from pubsub_common.protocol.events import ready_topic, topic_prefix
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for

Run = Callable[..., Program]

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def flag(model: Model) -> list[str]:
    """The option that sets the model of a broker or subscriber."""
    return ["-c"] if model == "centralized" else []


def start_broker(run: Run, *argv: object) -> tuple[Program, int]:
    """A broker that listens, and its port."""
    port = free_port()
    program = run("pubsub-broker", "--bind", "127.0.0.1", "--port", port, *argv)
    program.says(f"broker on 127.0.0.1:{port}")
    return program, port


def client(port: int) -> list[object]:
    """Options of a client of topic A."""
    return ["-t", "A", "-b", "127.0.0.1", "--broker-port", port]


def rows(file: Path) -> list[list[str]]:
    """The rows of a latency file."""
    header, *lines = file.read_text().splitlines()
    assert header == ",".join(HEADER)
    return [line.split(",") for line in lines]


def test_a_whole_run_ends_by_itself_and_leaves_a_file(
    run: Run, model: Model, tmp_path: Path
) -> None:
    _, port = start_broker(run, *flag(model))
    file = tmp_path / "latencies.csv"
    bind_port = free_port()

    subscriber = run(
        "pubsub-subscriber", *client(port), *flag(model), "-m", "30", "-f", file
    )
    publisher = run(
        "pubsub-publisher",
        *client(port),
        *("--wait-for", "1", "--max_event_count", "30", "-s", "0.001"),
        *("-bp", bind_port),
    )

    assert publisher.wait() == 0
    assert subscriber.wait() == 0
    assert (publisher.out, publisher.err) == ("", "")
    assert subscriber.out == ""
    ended, summary = subscriber.err.splitlines()
    assert ended == "pubsub-subscriber: ended after 30 events (--count)"
    assert "30 events received, 0 lost; latency min " in summary
    assert [row[:2] for row in rows(file)] == [[f"127.0.0.1:{bind_port}", "A"]] * 30
    assert all(float(row[2]) > 0 for row in rows(file))


def test_without_a_limit_only_a_file_has_the_seeds(
    run: Run, model: Model, tmp_path: Path
) -> None:
    _, port = start_broker(run, *flag(model))
    printing = [
        run("pubsub-subscriber", *client(port), *flag(model), *form)
        for form in ([], ["--raw"], ["--json", "--quiet"])
    ]
    file = tmp_path / "latency.csv"
    writing = run("pubsub-subscriber", *client(port), *flag(model), "-f", file)
    publisher = run(
        "pubsub-publisher",
        *client(port),
        *("--wait-for", "4", "-m", "40", "-s", "0", "-bp", free_port()),
    )

    assert publisher.wait() == 0
    assert writing.wait() == 0
    said, _ = writing.err.splitlines()
    assert said == (
        "pubsub-subscriber: ended after 15 events (--count, by default with -f)"
    )
    assert len(rows(file)) == 15
    wait_for(lambda: all(program.out.count("\n") == 40 for program in printing))
    for program in printing:
        program.send(signal.SIGTERM)
        assert program.wait() == 0
        assert "ended" not in program.err


def test_a_publisher_whose_limit_is_the_default_says_so(run: Run) -> None:
    _, port = start_broker(run)
    words = (*client(port), "-s", "0", "-bp", free_port())

    by_default = run("pubsub-publisher", *words)
    assert by_default.wait() == 0
    nobody, ended = by_default.err.splitlines()
    assert nobody.startswith("pubsub-publisher: nobody subscribed to A; ")
    assert ended == (
        "pubsub-publisher: ended after 15 events (--count, by default; "
        "-i continues until stopped)"
    )
    asked = run("pubsub-publisher", *words, "-m", "15")
    assert asked.wait() == 0
    assert "ended" not in asked.err


def test_with_a_log_in_json_all_that_is_said_is_json(run: Run, model: Model) -> None:
    _, port = start_broker(run, *flag(model))
    words = [*client(port), "--log-format", "json", "-v"]
    subscriber = run("pubsub-subscriber", *words, *flag(model), "-m", "5", "--raw")
    publisher = run(
        "pubsub-publisher",
        *words,
        *("--wait-for", "1", "-m", "5", "-s", "0", "-bp", free_port()),
    )

    assert publisher.wait() == 0
    assert subscriber.wait() == 0
    for program, name in ((publisher, "publisher"), (subscriber, "subscriber")):
        said = [json.loads(line) for line in program.err.splitlines()]
        assert said
        for entry in said:
            assert set(entry) == {"time", "level", "program", "message"}
            assert entry["program"] == f"pubsub-{name}"
    assert said[-1]["level"] == "INFO"
    assert said[-1]["message"].startswith("5 events received, 0 lost; latency min ")
    assert publisher.out == ""
    assert subscriber.out.count("event ") == 5


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_with_a_log_in_json_the_last_line_is_json_too(run: Run, role: str) -> None:
    program = run(
        f"pubsub-{role}",
        *client(free_port()),
        *("--connect-timeout", "0.05", "--log-format", "json"),
        *(["--quiet"] if role == "subscriber" else []),
    )

    assert program.wait() == 1
    (line,) = program.err.splitlines()
    assert json.loads(line)["message"].startswith("no broker answered at tcp://")


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_another_form_of_the_log_is_refused(run: Run, role: str) -> None:
    program = run(f"pubsub-{role}", *client(free_port()), "--log-format", "xml")

    assert program.wait() == 2
    assert program.err == (f"pubsub-{role}: --log-format is text or json, not 'xml'\n")


def test_clients_that_were_first_say_so_once_and_find_the_broker(
    run: Run, model: Model
) -> None:
    port = free_port()
    subscriber = run("pubsub-subscriber", *client(port), *flag(model), "-m", "3")
    publisher = run(
        "pubsub-publisher",
        *client(port),
        *("--wait-for", "1", "-m", "3", "-s", "0", "-bp", free_port()),
    )
    refused = " yet (connection refused); trying for 30 s"
    waiting = f"no broker at tcp://127.0.0.1:{port}{refused}"
    subscriber.says(waiting)
    publisher.says(waiting)

    run("pubsub-broker", "--bind", "127.0.0.1", "--port", port, *flag(model))

    assert publisher.wait() == 0
    assert subscriber.wait() == 0
    assert publisher.complaint == waiting
    _, ended, summary = subscriber.err.splitlines()
    assert ended == "pubsub-subscriber: ended after 3 events (--count)"
    assert "3 events received, 0 lost" in summary
    assert subscriber.out.count("\n") == 3


# Signals


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_each_role_in_an_orderly_way(
    run: Run, model: Model, tmp_path: Path, number: signal.Signals
) -> None:
    broker, port = start_broker(run, *flag(model))
    file = tmp_path / "latencies.csv"
    subscriber = run(
        "pubsub-subscriber", *client(port), *flag(model), "-m", "100000", "-f", file
    )
    witness = run("pubsub-subscriber", *client(port), *flag(model), "-m", "20")
    publisher = run(
        "pubsub-publisher",
        *client(port),
        *("--wait-for", "2", "-i", "-s", "0.002", "-bp", free_port()),
    )
    assert witness.wait() == 0

    subscriber.send(number)
    assert subscriber.wait() == 0
    publisher.send(number)
    assert publisher.wait() == 0
    wait_for(lambda: not registered(port, "publisher"), "the publisher's leave")
    broker.send(number)
    assert broker.wait() == 0

    assert (publisher.out, publisher.err) == ("", "")
    assert f"{len(rows(file))} events received, 0 lost" in subscriber.complaint
    assert "publisher" in broker.err
    assert " left\n" in broker.err
    assert "lease expired" not in broker.err
    assert "Traceback" not in broker.err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_there_is_a_broker_ends_a_client_with_its_file_written(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    file = tmp_path / "latencies.csv"
    subscriber = run("pubsub-subscriber", *client(port), "-m", "5", "-f", file)
    publisher = run("pubsub-publisher", *client(port), "-bp", free_port())
    for program in (subscriber, publisher):
        program.says("no broker at")

    for program in (subscriber, publisher):
        program.send(number)
        assert program.wait() == 0

    assert rows(file) == []
    assert "Traceback" not in subscriber.err + publisher.err


@pytest.mark.parametrize("role", ["publisher", "subscriber", "broker"])
def test_a_second_signal_ends_it_at_once(run: Run, role: str) -> None:
    broker, port = start_broker(run)
    program = broker
    if role != "broker":
        program = run(f"pubsub-{role}", *client(port), "-i")
        wait_for(lambda: [c for c in clients(port) if c == role], "its registration")
        broker.send(signal.SIGSTOP)  # so that disconnecting takes a while

    # Both before it can act on either.
    program.send(signal.SIGSTOP)
    program.send(signal.SIGINT)
    program.send(signal.SIGTERM)
    program.send(signal.SIGCONT)

    assert program.wait() in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert "Traceback" not in program.err


def clients(port: int) -> list[str]:
    return [
        client.role
        for role in ("publisher", "subscriber")
        for client in registered(port, role)
    ]


PATIENT_PUBLISHER = """
import sys
from pubsub_publisher import Publisher, cli
from pubsub_common.cli import console_script

publisher = Publisher(
    topics=["A"], max_event_count=200, sleep_period=0, payload_bytes=1_000_000,
    broker_port=int(sys.argv[1]), bind_port=int(sys.argv[2]), linger_s=3600,
)
with console_script.stop_on_signals(publisher.stop):
    code = console_script.run("patient", lambda: cli.run(publisher, wait_for=1))
sys.exit(code)
"""


def test_a_second_signal_ends_a_publisher_that_still_has_events_to_deliver(
    run: Run,
) -> None:
    _, port = start_broker(run)
    bind_port = free_port()
    with zmq.Context() as context, context.socket(zmq.SUB) as stalled:
        stalled.linger = 0
        stalled.rcvhwm = 1
        stalled.subscribe(topic_prefix("A"))
        stalled.subscribe(ready_topic("A", 1))
        stalled.connect(f"tcp://127.0.0.1:{bind_port}")
        publisher = run("python", "-c", PATIENT_PUBLISHER, port, bind_port)
        assert stalled.poll(round(WAIT_S * 1000))
        wait_for(lambda: not registered(port, "publisher"), "its leave")

        publisher.send(signal.SIGINT)
        assert publisher.process.poll() is None, "it has events to deliver"
        publisher.send(signal.SIGTERM)

        assert publisher.wait() in (128 + signal.SIGINT, 128 + signal.SIGTERM)
