"""A status report as metrics for Prometheus."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from pubsub_broker.monitoring.group_view import group_of, own_part
from pubsub_broker.monitoring.status_view import (
    Topic,
    client_title,
    count,
    topics_of,
)
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import Latency, Status

# Each pair of topic and subscriber costs Prometheus a time series, for as long as it
# keeps data, and clients choose topics and addresses.
MAX_LOSSES: Final = 100
# The same for topics with their rates, and for subscribers with their latencies.
MAX_TOPICS: Final = 100
MAX_SUBSCRIBERS: Final = 100
MAX_BROKERS: Final = 100
_PREFIX: Final = "pubsub_broker_"
_MISSING: Final = (
    "--metrics-port needs the package prometheus-client: "
    "pip install 'pubsub-broker[metrics]'"
)


def check_library() -> None:
    """Raises:
    PubSubError: the library for metrics is not installed.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise PubSubError(_MISSING) from None


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric, with the values of its labels by their names."""

    value: float
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric; ``name`` is without the common prefix."""

    name: str
    kind: Literal["gauge", "counter"]
    help_text: str
    samples: Sequence[Sample]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels, the same for all samples."""
        return tuple(self.samples[0].labels) if self.samples else ()


def metrics_of(status: Status) -> list[Metric]:
    """The metrics in a status report. In a group, metrics of clients only cover the
    clients of the broker that made the report: Prometheus asks each broker, and adds
    up."""
    group = group_metrics(status)
    status = own_part(status)
    topics = topics_of(status)
    losses, other_losses = losses_of(status)
    rates, other_rates = rates_of(topics)
    return [
        Metric(
            "info",
            "gauge",
            "Always 1; its model.",
            [Sample(1, {"model": status.model})],
        ),
        Metric(
            "clients",
            "gauge",
            "Registered clients.",
            [
                Sample(count(status.clients, "publisher"), {"role": "publisher"}),
                Sample(count(status.clients, "subscriber"), {"role": "subscriber"}),
            ],
        ),
        Metric(
            "lost_events",
            "counter",
            "Events that registered subscribers have lost; the largest "
            f"{MAX_LOSSES} pairs.",
            losses,
        ),
        Metric(
            "topic_events_per_second",
            "gauge",
            "Events a second that publishers published recently; the highest "
            f"{MAX_TOPICS} topics.",
            rates,
        ),
        Metric(
            "latency_seconds",
            "gauge",
            "One-way latency between a subscriber's last heartbeats, quantile 1 its "
            f"largest, of a sample; the {MAX_SUBSCRIBERS} subscribers with the "
            "highest p99.",
            latencies_of(status),
        ),
        _gauge("lost_events_other", "Lost events of all other pairs.", other_losses),
        _gauge(
            "topic_events_per_second_other",
            "Events a second of all other topics.",
            other_rates,
        ),
        _gauge("topics", "Topics of registered clients.", len(topics)),
        _gauge(
            "expected_clients",
            "Clients of an earlier run that have not reconnected.",
            len(status.expected),
        ),
        _gauge("uptime_seconds", "Time since the broker's start.", status.uptime_s),
        _gauge("epoch", "A number that changes with every start.", status.epoch),
        _counter("forwarded_messages", "Messages from publishers.", status.forwarded),
        _counter("rejected_requests", "Control messages rejected.", status.rejected),
        *group,
    ]


def group_metrics(status: Status) -> list[Metric]:
    """The metrics of a group of brokers; none without a group."""
    group = group_of(status)
    if group is None:
        return []
    # A restarted broker is listed twice until its earlier clients have moved.
    clients: Counter[str] = Counter()
    for each in group.brokers[:MAX_BROKERS]:
        clients[each.address] += each.clients
    gone = len(group.brokers) - group.alive
    return [
        Metric(
            "group_info",
            "gauge",
            "Always 1; its name.",
            [Sample(1, {"group": group.name})],
        ),
        Metric(
            "group_brokers",
            "gauge",
            "Brokers of the group, in this broker's view: live ones, and dead ones "
            "with clients that have not moved.",
            [Sample(group.alive, {"state": "alive"}), Sample(gone, {"state": "gone"})],
        ),
        Metric(
            "group_clients",
            "gauge",
            "Clients of each broker of the group, in this broker's view.",
            [Sample(number, {"broker": each}) for each, number in clients.items()],
        ),
        _gauge(
            "registry_cut_off_seconds",
            "Seconds since this broker last reached the registry; 0: it is connected.",
            group.cut_off_s or 0.0,
        ),
    ]


def losses_of(status: Status) -> tuple[list[Sample], int]:
    """The largest losses, and the sum of all others. Subscribers with the same title
    count as one."""
    lost: Counter[tuple[str, str]] = Counter()
    for client in status.clients:
        for topic, events in client.lost.items():
            pair = topic, client_title(client)
            lost[pair] = numbers.add(lost[pair], events)
    most = sorted(lost.items(), key=lambda item: (-item[1], item[0]))
    named = [
        Sample(events, {"topic": topic, "subscriber": title})
        for (topic, title), events in most[:MAX_LOSSES]
    ]
    return named, numbers.total(events for _, events in most[MAX_LOSSES:])


def rates_of(topics: Iterable[Topic]) -> tuple[list[Sample], float]:
    """The highest rates by topic, and the sum of all others."""
    known = [(each.rate, each.name) for each in topics if each.rate is not None]
    most = sorted(known, key=lambda item: (-item[0], item[1]))
    named = [Sample(rate, {"topic": name}) for rate, name in most[:MAX_TOPICS]]
    return named, sum(rate for rate, _ in most[MAX_TOPICS:])


def latencies_of(status: Status) -> list[Sample]:
    """The latencies of the subscribers with the highest p99; of several with the same
    title, those of the slowest."""
    worst: dict[str, Latency] = {}
    for client in status.clients:
        title, latency = client_title(client), client.latency
        before = worst.get(title)
        if latency and (before is None or latency.p99_ns > before.p99_ns):
            worst[title] = latency
    ordered = sorted(worst.items(), key=lambda item: (-item[1].p99_ns, item[0]))
    return [
        Sample(ns / 1e9, {"subscriber": title, "quantile": quantile})
        for title, each in ordered[:MAX_SUBSCRIBERS]
        for quantile, ns in (
            ("0.5", each.p50_ns),
            ("0.99", each.p99_ns),
            ("1", each.max_ns),
        )
    ]


def exposition(status: Status) -> tuple[str, bytes]:
    """The content type and the text of the response."""
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
    )
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.registry import Collector

    kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}

    class Report(Collector):
        def collect(self) -> Iterator[Family]:
            for metric in metrics_of(status):
                family = kinds[metric.kind](
                    _PREFIX + metric.name, metric.help_text, labels=metric.labels
                )
                for sample in metric.samples:
                    values = [sample.labels[label] for label in metric.labels]
                    family.add_metric(values, sample.value)
                yield family

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Report())
    return CONTENT_TYPE_LATEST, generate_latest(registry)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return Metric(name, "gauge", help_text, [Sample(value)])


def _counter(name: str, help_text: str, value: float) -> Metric:
    return Metric(name, "counter", help_text, [Sample(value)])
