"""A status report as figures for Prometheus. Shell, for what it imports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from pubsub_broker.topology import count, topics_of
from pubsub_common.errors import ConfigError
from pubsub_common.messages import Status

# Each pair of topic and subscriber costs Prometheus a time series, for as long as it
# keeps data. Topics and addresses come from strangers.
MAX_LOSSES: Final = 100
_MISSING: Final = (
    "--metrics-port needs the package prometheus-client: "
    "pip install 'pubsub-broker[metrics]'"
)


def check_library() -> None:
    """Raises:
    ConfigError: the library for figures is not installed.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError(_MISSING) from None


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
            yield from (info, clients, lost)
            for metric, value, help_text in (
                ("lost_events_other", others, "Lost events of all other pairs."),
                ("topics", len(topics_of(status)), "Topics of clients that are there."),
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
