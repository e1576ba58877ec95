"""The installed console scripts: signals, files, exit codes, bad input."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import free_port

from pubsub_common.testing import wait_for

from .conftest import Run

PROGRAMS = Path(sys.executable).parent
CLIENT = ("-t", "A", "-b", "127.0.0.1")


def call(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / script, *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def said(tmp_path: Path, name: str) -> str:
    return (tmp_path / f"{name}.err").read_text()


@pytest.mark.parametrize("role", ["subscriber", "publisher"])
def test_a_role_takes_leave_when_its_terminal_is_closed(
    run: Run, tmp_path: Path, role: str
) -> None:
    port = str(free_port())
    run("pubsub-broker", "--port", port)
    script = PROGRAMS / f"pubsub-{role}"
    ours, its = os.openpty()
    started = subprocess.Popen(
        ["setsid", "--ctty", script, *CLIENT, "--broker-port", port, "-i"],
        stdin=its,
        stdout=its,
        stderr=its,
    )
    try:
        os.close(its)
        wait_for(lambda: " joined" in said(tmp_path, "pubsub-broker-0"))
        os.close(ours)
        assert started.wait(30) == 0
        wait_for(lambda: said(tmp_path, "pubsub-broker-0").endswith(" left\n"))
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("model", [["-c"], []], ids=["centralized", "decentralized"])
def test_a_signal_ends_each_role_in_order_and_files_are_written(
    run: Run, tmp_path: Path, model: list[str], number: int
) -> None:
    port = str(free_port())
    broker = run("pubsub-broker", *model, "--port", port)
    client = (*CLIENT, "--broker-port", port)
    subscriber = run(
        "pubsub-subscriber", *client, *model, "-m", "1000000", "-f", "latency.csv"
    )
    publisher = run(
        "pubsub-publisher", *client, "-i", "-s", "0.01", "-v", "--wait-for", "2"
    )
    printing = run("pubsub-subscriber", *client, *model, "-i")
    assert printing.stdout is not None
    for _ in range(5):  # events flow
        assert printing.stdout.readline().startswith("A 127.0.0.1:")
    for role in (subscriber, printing, publisher, broker):
        role.send_signal(number)
        assert role.wait(30) == 0
    with (tmp_path / "latency.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 1
    log = said(tmp_path, "pubsub-broker-0")
    assert log.count(" joined: A") == 3
    assert log.count(" left") == 3, "they disconnected in an orderly way"
    everything = "".join(p.read_text() for p in tmp_path.glob("*.err"))
    assert "Traceback" not in everything


def test_a_second_signal_ends_a_role_at_once(run: Run, tmp_path: Path) -> None:
    # Without a broker the first signal ends it soon, too: so make it wait for a file
    # that cannot be written completely.
    port = str(free_port())
    run("pubsub-broker", "--port", port)
    publisher = run(
        "pubsub-publisher", *CLIENT, "--broker-port", port, "--hold", "--wait-for", "1"
    )
    log = tmp_path / "pubsub-broker-0.err"
    wait_for(lambda: "publisher" in log.read_text(), "the publisher's registration")
    publisher.send_signal(signal.SIGINT)
    publisher.send_signal(signal.SIGINT)
    assert publisher.wait(30) in (0, 128 + signal.SIGINT)


def test_an_unreachable_broker_is_mentioned_once_and_then_given_up() -> None:
    port = str(free_port())
    for script in ("pubsub-publisher", "pubsub-subscriber"):
        done = call(script, *CLIENT, "--broker-port", port, "--connect-timeout", "1.5")
        assert done.returncode == 1
        lines = [line for line in done.stderr.splitlines() if port in line]
        assert len(lines) == 2
        assert "yet (connection refused); trying for 1.5 s" in lines[0]
        assert f"no broker answered at tcp://127.0.0.1:{port} within 1.5 s" in lines[1]
        assert "Traceback" not in done.stderr


def test_a_wrong_model_is_an_error_that_names_both(run: Run) -> None:
    port = str(free_port())
    run("pubsub-broker", "--port", port)
    done = call("pubsub-subscriber", *CLIENT, "-c", "--broker-port", port)
    assert done.returncode == 1
    assert "decentralized" in done.stderr
    assert "centralized" in done.stderr
    assert "Traceback" not in done.stderr


BAD = [
    ("pubsub-publisher", ["-b", "127.0.0.1"], "no topic"),
    ("pubsub-subscriber", ["-b", "127.0.0.1"], "no topic"),
    ("pubsub-publisher", ["-t", "A", "-b", ""], "-b: the value is empty"),
    ("pubsub-subscriber", ["-t", "A", "-b", ""], "-b: the value is empty"),
    ("pubsub-publisher", [*CLIENT, "-m", "many"], "'many' is not a whole number"),
    ("pubsub-publisher", [*CLIENT, "-m", "0"], "at least 1"),
    ("pubsub-publisher", [*CLIENT, "-m", "-3"], "at least 1"),
    ("pubsub-publisher", [*CLIENT, "-s", "-1"], "0 or more"),
    ("pubsub-publisher", [*CLIENT, "-s", "soon"], "'soon' is not a number"),
    ("pubsub-publisher", [*CLIENT, "-bp", "70000"], "not a valid port"),
    ("pubsub-publisher", [*CLIENT, "--clock", "sun"], "--clock must be"),
    ("pubsub-publisher", [*CLIENT, "--overflow", "weep"], "'drop' or 'block'"),
    ("pubsub-publisher", ["-t", "A", "-b", "no/where"], "not an IP address"),
    ("pubsub-publisher", ["-t", "", "-b", "127.0.0.1"], "empty"),
    ("pubsub-publisher", [*CLIENT, "--bogus"], "unknown option --bogus"),
    ("pubsub-publisher", [*CLIENT, "--topik", "B"], "did you mean --topic"),
    ("pubsub-subscriber", [*CLIENT, "-f", "x.csv", "-i"], "exclude each other"),
    ("pubsub-subscriber", [*CLIENT, "-f", "/no/such/x.csv"], "no folder /no/such"),
    ("pubsub-subscriber", [*CLIENT, "-f", "/"], "it is a folder"),
    ("pubsub-subscriber", [*CLIENT, "-m", "1.5"], "not a whole number"),
    ("pubsub-broker", ["--port", "-1"], "at least 0"),
    ("pubsub-broker", ["--lease", "0"], "more than 0"),
    ("pubsub-broker", ["-c", "--forwarders", "0"], "at least 1"),
    ("pubsub-broker", ["surplus"], "surplus"),
]


@pytest.mark.parametrize(("script", "words", "reason"), BAD)
def test_bad_input_gets_one_line_and_exit_code_2(
    script: str, words: list[str], reason: str
) -> None:
    done = call(script, *words)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"{script}: ")
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [("pubsub-broker", ["--bind"]), ("pubsub-publisher", [*CLIENT, "--address"])],
)
def test_an_address_that_cannot_be_had_gets_one_line_and_exit_code_1(
    script: str, words: list[str]
) -> None:
    done = call(script, *words, "192.0.2.77")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"{script}: cannot listen on 192.0.2.77")


@pytest.mark.parametrize(
    "script",
    [
        "pubsub-broker",
        "pubsub-publisher",
        "pubsub-subscriber",
        "pubsub-driver",
        "pubsub-conformance",
        "pubsub-perf",
    ],
)
def test_every_script_has_help_and_a_version(script: str) -> None:
    version = call(script, "--version")
    assert (version.returncode, version.stdout) == (0, f"{script} 0.1.0\n")
    text = call(script, "--help")
    assert text.returncode == 0
    assert "Usage:" in text.stdout
    assert call(script, "-h").stdout == text.stdout


def test_both_spellings_of_a_long_option_mean_the_same(
    run: Run, tmp_path: Path
) -> None:
    port = str(free_port())
    run("pubsub-broker", "-c", "--port", port)
    client = (*CLIENT, "--broker_port", port)
    subscribers = [
        run("pubsub-subscriber", *client, "-c", "--max_event_count", "3"),
        run("pubsub-subscriber", *client, "-c", "--max-event-count=3"),
    ]
    run("pubsub-publisher", *client, "-i", "-s", "0.02", "--wait_for", "2")
    for process in subscribers:
        out, _ = process.communicate(timeout=100)
        assert len(out.splitlines()) == 3


def test_a_reader_that_leaves_ends_the_subscriber_quietly(
    run: Run, tmp_path: Path
) -> None:
    port = str(free_port())
    run("pubsub-broker", "-c", "--port", port)
    client = (*CLIENT, "--broker-port", port)
    run("pubsub-publisher", *client, "-i", "-s", "0.02")
    subscriber = run("pubsub-subscriber", *client, "-c", "-i")
    assert subscriber.stdout is not None
    subscriber.stdout.readline()
    subscriber.stdout.close()
    assert subscriber.wait(30) == 0
    *waits, summary = said(tmp_path, "pubsub-subscriber-2").splitlines()
    assert all("no broker at " in each for each in waits)  # it may start later
    assert " events received, 0 lost; latency " in summary
    subscriber.stdout = None  # so that the end of the test does not read it


def test_details_and_reports_tell_of_every_event(run: Run, tmp_path: Path) -> None:
    import gzip
    import json

    port = str(free_port())
    run("pubsub-broker", "-c", "--port", port)
    client = (*CLIENT, "--broker-port", port, "-m", "20")
    subscriber = run(
        "pubsub-subscriber",
        *(*client, "-c", "-f", "s.csv", "--details", "s.gz", "--report", "s.json"),
    )
    publisher = run(
        "pubsub-publisher",
        *(*client, "-s", "0.01", "--wait-for", "1"),
        *("--details", "p.gz", "--report", "p.json"),
    )
    for process in (subscriber, publisher):
        assert process.wait(30) == 0

    def table(name: str) -> list[list[str]]:
        with gzip.open(tmp_path / name, "rt", newline="") as file:
            return list(csv.reader(file))[1:]

    received, sent = table("s.gz"), table("p.gz")
    assert [int(row[3]) for row in received] == list(range(20))
    # The subscriber's publish times are the publisher's send times.
    assert [row[4] for row in received] == [row[3] for row in sent]
    # The schedule is absolute: due times are exactly a period apart.
    due = [int(row[2]) for row in sent]
    assert {b - a for a, b in itertools.pairwise(due)} == {10_000_000}
    assert all(int(row[3]) >= int(row[2]) for row in sent), "never early"
    with (tmp_path / "s.csv").open(newline="") as file:
        latencies = [round(float(row[2]) * 1e9) for row in list(csv.reader(file))[1:]]
    assert latencies == [int(row[5]) - int(row[4]) for row in received]
    report = json.loads((tmp_path / "s.json").read_text())
    assert (report["received"], report["lost"], report["duplicated"]) == (20, 0, 0)
    assert report["latency_error_ns"] == [0, 0], "one machine, one clock"
    report = json.loads((tmp_path / "p.json").read_text())
    assert report["sent"] == 20
    assert report["lateness_ns"]["min"] >= 0
