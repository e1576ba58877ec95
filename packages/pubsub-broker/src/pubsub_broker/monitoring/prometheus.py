"""A status report as figures for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from pubsub_broker.monitoring.status_view import Topic, count, topics_of
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Latency, Status

# Each pair of topic and subscriber costs Prometheus a time series, for as long as it
# keeps data. Topics and addresses come from strangers.
MAX_LOSSES: Final = 100
# Likewise of topics with their rates, and of subscribers with their latencies.
MAX_TOPICS: Final = 100
MAX_SUBSCRIBERS: Final = 100
_MISSING: Final = (
    "--metrics-port needs the package prometheus-client: "
    "pip install 'pubsub-broker[metrics]'"
)


def check_library() -> None:
    """Raises:
    PubSubError: the library for figures is not installed.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise PubSubError(_MISSING) from None


def losses(status: Status) -> tuple[list[tuple[str, str, int]], int]:
    """The largest losses as (topic, subscriber, events), and the sum of all others.
    Subscribers of one address count as one."""
    lost: Counter[tuple[str, str]] = Counter()
    for client in status.clients:
        for topic, events in client.lost.items():
            lost[topic, client.address] += events
    most = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
    named = [(topic, address, n) for (topic, address), n in most[:MAX_LOSSES]]
    return named, sum(n for _, n in most[MAX_LOSSES:])


def rates(topics: Iterable[Topic]) -> tuple[list[tuple[str, float]], float]:
    """The highest rates by topic, and the sum of all others."""
    told = [(each.rate, each.name) for each in topics if each.rate is not None]
    most = sorted(told, key=lambda item: (-item[0], item[1]))
    named = [(name, rate) for rate, name in most[:MAX_TOPICS]]
    return named, sum(rate for rate, _ in most[MAX_TOPICS:])


def latencies(status: Status) -> list[tuple[str, Latency]]:
    """Of the subscribers with the highest p99; of several at one address, the one with
    the highest."""
    worst: dict[str, Latency] = {}
    for client in status.clients:
        latency, before = client.latency, worst.get(client.address)
        if latency and (before is None or latency.p99_ns > before.p99_ns):
            worst[client.address] = latency
    ordered = sorted(worst.items(), key=lambda item: (-item[1].p99_ns, item[0]))
    return ordered[:MAX_SUBSCRIBERS]


def exposition(status: Status) -> tuple[str, bytes]:
    """The content type and the text."""
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
    )
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    class Report(Collector):
        def collect(self) -> Iterator[Metric]:
            name = "pubsub_broker_"
            info = GaugeMetricFamily(
                name + "info", "Always 1; its model.", labels=["model"]
            )
            info.add_metric([status.model], 1)
            clients = GaugeMetricFamily(
                name + "clients", "Registered clients.", labels=["role"]
            )
            clients.add_metric(["publisher"], count(status.clients, "publisher"))
            clients.add_metric(["subscriber"], count(status.clients, "subscriber"))
            lost = CounterMetricFamily(
                name + "lost_events",
                "Events that subscribers who are there have lost; the largest "
                f"{MAX_LOSSES} pairs.",
                labels=["topic", "subscriber"],
            )
            named, others = losses(status)
            for topic, address, events in named:
                lost.add_metric([topic, address], events)
            topics = topics_of(status)
            rate = GaugeMetricFamily(
                name + "topic_events_per_second",
                "Events that publishers have published of late; the highest "
                f"{MAX_TOPICS} topics.",
                labels=["topic"],
            )
            highest, other_topics = rates(topics)
            for topic, per_second in highest:
                rate.add_metric([topic], per_second)
            latency = GaugeMetricFamily(
                name + "latency_seconds",
                "One-way latency between a subscriber's last heartbeats, quantile 1 its "
                f"largest, of a sample; the {MAX_SUBSCRIBERS} subscribers with the "
                "highest p99.",
                labels=["subscriber", "quantile"],
            )
            for address, each in latencies(status):
                for quantile, ns in (
                    ("0.5", each.p50_ns),
                    ("0.99", each.p99_ns),
                    ("1", each.max_ns),
                ):
                    latency.add_metric([address, quantile], ns / 1e9)
            yield from (info, clients, lost, rate, latency)
            for metric, value, help_text in (
                ("lost_events_other", others, "Lost events of all other pairs."),
                (
                    "topic_events_per_second_other",
                    other_topics,
                    "Events a second of all other topics.",
                ),
                ("topics", len(topics), "Topics of clients that are there."),
                (
                    "expected_clients",
                    len(status.expected),
                    "Clients of an earlier run that have not come back.",
                ),
                ("uptime_seconds", status.uptime_s, "Time since the broker's start."),
                ("epoch", status.epoch, "A number that changes with every start."),
            ):
                yield GaugeMetricFamily(name + metric, help_text, value)
            for metric, value, help_text in (
                ("forwarded_messages", status.forwarded, "Messages from publishers."),
                ("rejected_requests", status.rejected, "Control messages refused."),
            ):
                yield CounterMetricFamily(name + metric, help_text, value)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Report())
    return CONTENT_TYPE_LATEST, generate_latest(registry)
