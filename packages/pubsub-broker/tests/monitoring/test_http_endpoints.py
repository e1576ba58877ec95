"""A running broker over HTTP: metrics and the page's report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pubsub_broker.cli import PROGRAM, USAGE, http_endpoints, main
from pubsub_broker.monitoring import prometheus
from pubsub_broker.monitoring.http_endpoints import (
    ListenAddress,
    StatusCache,
    parse_listen_address,
)
from pubsub_broker.monitoring.prometheus import MAX_SUBSCRIBERS, Sample
from pubsub_broker.monitoring.status_view import topics_of
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.messages import ClientStatus, Latency, Status

WAIT_S = 60
Start = Callable[..., Any]


def subscriber(address: str, **lost: int) -> ClientStatus:
    return ClientStatus(
        role="subscriber",
        session=1,
        address=address,
        topics=["A"],
        idle_s=0.0,
        lost=lost,
    )


def publisher(address: str, **rates: float) -> ClientStatus:
    return ClientStatus(
        role="publisher",
        session=2,
        address=address,
        topics=list(rates),
        idle_s=0.0,
        rates=rates,
    )


def status_of(*clients: ClientStatus, uptime_s: float = 10.0) -> Status:
    return Status(
        id=1,
        epoch=2**53 - 1,
        model="centralized",
        uptime_s=uptime_s,
        clients=list(clients),
        forwarded=7,
        rejected=3,
    )


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names."""
    return {
        (
            sample.name,
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# Figures


def test_a_report_becomes_figures() -> None:
    content_type, text = prometheus.exposition(
        status_of(subscriber("10.0.0.2", A=5), subscriber("10.0.0.2", A=6, B=1))
    )

    assert content_type.startswith("text/plain")
    assert figures(text.decode()) == {
        ("pubsub_broker_info", "centralized"): 1,
        ("pubsub_broker_clients", "publisher"): 0,
        ("pubsub_broker_clients", "subscriber"): 2,
        ("pubsub_broker_lost_events_total", "10.0.0.2", "A"): 11,
        ("pubsub_broker_lost_events_total", "10.0.0.2", "B"): 1,
        ("pubsub_broker_lost_events_other",): 0,
        ("pubsub_broker_topic_events_per_second_other",): 0,
        ("pubsub_broker_topics",): 2,
        ("pubsub_broker_expected_clients",): 0,
        ("pubsub_broker_uptime_seconds",): 10,
        ("pubsub_broker_epoch",): 2**53 - 1,
        ("pubsub_broker_forwarded_messages_total",): 7,
        ("pubsub_broker_rejected_requests_total",): 3,
    }


def test_a_topic_cannot_write_figures_of_its_own() -> None:
    topic = 'x"} 1\npubsub_broker_topics 99\n\\'

    _, text = prometheus.exposition(status_of(subscriber("10.0.0.2", **{topic: 5})))

    assert figures(text.decode())["pubsub_broker_topics",] == 2


def test_rates_and_latencies_become_figures() -> None:
    fast, slow = (
        Latency(count=5, p50_ns=n * 1000, p99_ns=n * 2000, max_ns=n * 3000)
        for n in (1, 100)
    )
    one, other = subscriber("10.0.0.2"), subscriber("10.0.0.2")
    _, text = prometheus.exposition(
        status_of(
            publisher("10.0.0.1:5556", A=2.5, B=0.0),
            publisher("10.0.0.1:5557", A=1.0),
            msgspec.structs.replace(one, latency=fast),
            msgspec.structs.replace(other, latency=slow),
        )
    )

    found = figures(text.decode())
    assert found["pubsub_broker_topic_events_per_second", "A"] == 3.5
    assert found["pubsub_broker_topic_events_per_second", "B"] == 0.0
    for quantile, seconds in (("0.5", 1e-4), ("0.99", 2e-4), ("1", 3e-4)):
        key = "pubsub_broker_latency_seconds", quantile, "10.0.0.2"
        assert found[key] == pytest.approx(seconds)


def test_rates_and_latencies_are_so_many_series_and_no_more() -> None:
    rates = {f"t{number:04}": float(number + 1) for number in range(150)}
    status = status_of(publisher("p", **rates))
    named, others = prometheus.rates_of(topics_of(status))
    assert len(named) == prometheus.MAX_TOPICS
    assert named[0] == Sample(150.0, {"topic": "t0149"})
    assert others == sum(range(1, 51))

    crowd = [
        msgspec.structs.replace(
            subscriber(f"10.0.0.{n}"),
            latency=Latency(count=1, p50_ns=0, p99_ns=n, max_ns=n),
        )
        for n in range(150)
    ]
    found = prometheus.latencies_of(status_of(*crowd))
    assert len({each.labels["subscriber"] for each in found}) == MAX_SUBSCRIBERS
    assert found[0].labels["subscriber"] == "10.0.0.149"


def test_losses_are_so_many_series_and_no_more() -> None:
    lost = {f"t{number:04}": number + 1 for number in range(150)}

    named, others = prometheus.losses_of(status_of(subscriber("10.0.0.2", **lost)))

    assert len(named) == prometheus.MAX_LOSSES
    assert named[0] == Sample(150, {"topic": "t0149", "subscriber": "10.0.0.2"})
    assert others == sum(range(1, 51))


@pytest.mark.parametrize("words", [["--metrics-port", "0"]])
def test_figures_without_the_library_are_one_line_that_says_what_to_install(
    words: list[str],
) -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from pubsub_broker.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--port", "0", *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )

    assert (
        done.returncode == console_script.EXIT_FAILED
    )  # like status --watch without rich
    assert done.stderr == (
        "pubsub-broker: --metrics-port needs the package prometheus-client: "
        "pip install 'pubsub-broker[metrics]'\n"
    )


# Asking


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_however_many_look_the_broker_is_asked_now_and_then() -> None:
    asked: list[int] = []

    def ask() -> Status:
        asked.append(1)
        return status_of(uptime_s=float(len(asked)))

    clock = Clock()
    source = StatusCache(ask, 0.5, clock)

    assert [source.get().uptime_s for _ in range(3)] == [1, 1, 1]
    clock.now = 0.5
    assert [source.get().uptime_s for _ in range(3)] == [2, 2, 2]


def test_no_answer_is_an_answer_for_as_long() -> None:
    answers: list[Status | PubSubError] = [PubSubError("busy"), status_of()]

    def ask() -> Status:
        answer = answers.pop(0)
        if isinstance(answer, PubSubError):
            raise answer
        return answer

    clock = Clock()
    source = StatusCache(ask, 0.5, clock)

    for _ in range(2):
        with pytest.raises(PubSubError, match="busy"):
            source.get()
    clock.now = 0.5
    assert source.get() == status_of()


# Options


def test_a_page_is_for_this_host_unless_a_host_is_named() -> None:
    assert parse_listen_address("8080") == ListenAddress("127.0.0.1", 8080)
    assert parse_listen_address("10.0.0.1:0") == ListenAddress("10.0.0.1", 0)
    assert parse_listen_address("[::1]:80") == ListenAddress("[::1]", 80)


@pytest.mark.parametrize(
    ("words", "http", "metrics"),
    [
        (["--http", "1"], ListenAddress("127.0.0.1", 1), None),
        (["--metrics-port", "2"], None, ListenAddress("127.0.0.1", 2)),
        (["--metrics-port", "10.0.0.2:3"], None, ListenAddress("10.0.0.2", 3)),
    ],
)
def test_neither_is_served_where_the_broker_is_unless_that_is_said(
    words: list[str], http: ListenAddress | None, metrics: ListenAddress | None
) -> None:
    options = console_script.parse(USAGE, ["--bind", "10.0.0.1", *words], PROGRAM, "1")

    made = http_endpoints(options)

    assert made is not None
    assert (made.http, made.metrics) == (http, metrics)


@pytest.mark.parametrize(
    "text", ["", "x", ":80", "-1", "70000", "a b:80", "224.0.0.1:80"]
)
def test_another_place_is_none(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--http", "x"], "--http"),
        (["--metrics-port", "x"], "--metrics-port"),
        (["--metrics-port", "70000"], "--metrics-port"),
        (["--log-format", "xml"], "--log-format"),
    ],
)
def test_an_option_that_cannot_work_is_named_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    named: str,
    untouched_logging: None,
) -> None:
    assert (
        main(["--bind", "127.0.0.1", "--port", "0", *words])
        == console_script.EXIT_USAGE
    )

    assert named in capsys.readouterr().err.splitlines()[-1]


def test_a_plain_broker_loads_nothing_of_this() -> None:
    code = (
        "import sys, threading; from pubsub_broker import cli, broker\n"
        "broker.Broker.event_loop = lambda self: None\n"
        "cli.main(['--port', '0'])\n"
        "heavy = {'http', 'http.server', 'prometheus_client', 'rich', 'socketserver',"
        " 'pubsub_broker.monitoring.http_endpoints', 'pubsub_broker.monitoring.status_view',"
        " 'pubsub_common.logs.json_formatter'}\n"
        "print(sorted(heavy & set(sys.modules)),"
        " *(thread.name for thread in threading.enumerate()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S
    )

    assert done.stdout == "[] MainThread log\n", done.stderr


# A broker


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
        text: str = answer.read().decode()
        return text


def test_a_broker_serves_both_until_it_ends(broker_process: Start) -> None:
    broker = broker_process("-c", "--http", "0", "--metrics-port", "0")
    page = broker.said(r"page: (http://127\.0\.0\.1:\d+/)$")[1]
    scraped = broker.said(r"metrics: (http://127\.0\.0\.1:\d+/metrics)$")[1]

    report = json.loads(fetch(f"{page}status.json"))
    seen = figures(fetch(scraped))

    assert (report["model"], report["clients"]) == ("centralized", [])
    assert seen["pubsub_broker_info", "centralized"] == 1
    assert seen["pubsub_broker_epoch",] == report["epoch"]
    assert "<h1" in fetch(page)

    broker.process.send_signal(signal.SIGTERM)
    out, err = broker.process.communicate(timeout=WAIT_S)
    assert (broker.process.returncode, out, err) == (0, "", "")


def test_the_log_can_be_json(broker_process: Start) -> None:
    broker = broker_process("--log-format", "json", "--http", "0")

    line = broker.said("(.*)")[1]

    assert json.loads(line)["message"].startswith("page: http://")
