"""The whole benchmark of a group: costs of events, growth, registry."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pubsub_perf.bench.group import forwarding, registry
from pubsub_perf.bench.group.figures import (
    CostPoint,
    GroupFigure,
    figure_of,
    fit_costs,
    percentile,
)
from pubsub_perf.bench.group.forwarding import ForwardingLoad
from pubsub_perf.capacity.costs import EventCosts, MeasuredCosts
from pubsub_perf.capacity.growth import grow
from pubsub_perf.capacity.workload import Workload

Say = Callable[[str], None]

# Of payload and rate, as many copies an event as there are subscribers.
COST_LOADS: Final = ((64, 1_000.0), (64, 10_000.0), (1_024, 5_000.0), (16_384, 1_000.0))
COST_FANOUTS: Final = (1, 4, 8)
GROWN: Final = (2, 4)
_LARGE: Final = 16_384
_LARGE_SUBSCRIBERS: Final = 16
_LARGE_RATE: Final = 250.0
LARGE_BOUNDS: Final = {2: 0.70, 4: 0.42}
_TOPICS, _SUBSCRIBERS, _EACH, _SMALL = 64, 256, 4, 64
_SMALL_RATE: Final = 500.0
SMALL_BOUNDS: Final = {2: 0.60, 4: 0.35}
# For the costs of a load it is tried with one of so many of its subscribers, too.
_FEWER: Final = 16
_JOINS: Final = 100
_MOVING: Final = {1_000: 5.0, 10_000: 25.0}
_IDLE: Final = 1_000
_MIRRORED: Final = 10_000


def event_costs(repetitions: int, seconds: float, say: Say) -> Iterator[MeasuredCosts]:
    """The costs of events at one broker alone, by size and rate. Results that are negative by
    chance are left out."""
    for payload_bytes, rate in COST_LOADS:
        loads = [
            forwarding.one_topic(subscribers, payload_bytes, rate)
            for subscribers in COST_FANOUTS
        ]
        name = f"{payload_bytes} B at {rate:g}/s"
        costs = _costs_of(loads, repetitions, seconds, say, name)
        if costs is not None:
            yield MeasuredCosts(payload_bytes, rate, costs)


def _costs_of(
    loads: Sequence[ForwardingLoad],
    repetitions: int,
    seconds: float,
    say: Say,
    name: str,
) -> EventCosts | None:
    """From these loads in turn, at one broker without a group; the medians count."""
    event_us: list[list[float]] = [[] for _ in loads]
    for number in range(repetitions):
        for load, found in zip(loads, event_us, strict=True):
            say(f"{name}: {len(load.choices)} subscribers, {number + 1}")
            costs = forwarding.measure(load, 1, seconds, grouped=False)
            found.append(costs.busiest_us)
    return fit_costs(
        [
            CostPoint(load.taken, load.copies, statistics.median(found))
            for load, found in zip(loads, event_us, strict=True)
        ]
    )


def large_events(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """One topic of large events: the busiest broker's processor time to that of one broker."""
    load = forwarding.one_topic(_LARGE_SUBSCRIBERS, _LARGE, _LARGE_RATE)
    workload = Workload(1, _LARGE_SUBSCRIBERS, payload_bytes=_LARGE)
    growth = _Growth("A17", "16 subscribers, 16 KiB", load, workload, LARGE_BOUNDS)
    yield from growth.measure(repetitions, seconds, say)


def many_topics(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """Many topics of small events, some of them hot."""
    load = forwarding.zipf_topics(
        _TOPICS, _SUBSCRIBERS, _EACH, _SMALL, _SMALL_RATE, seed=1
    )
    workload = Workload(_TOPICS, _SUBSCRIBERS, _EACH, "zipf", _SMALL)
    name = f"{_TOPICS} topics (Zipf), {_SUBSCRIBERS} subscribers of {_EACH}, {_SMALL} B"
    growth = _Growth("A18", name, load, workload, SMALL_BOUNDS)
    yield from growth.measure(repetitions, seconds, say)


@dataclasses.dataclass(frozen=True, slots=True)
class _Growth:
    """One load at groups of several sizes; ``workload`` is the same for the model."""

    bar: str
    name: str
    load: ForwardingLoad
    workload: Workload
    bounds: Mapping[int, float]

    def measure(
        self, repetitions: int, seconds: float, say: Say
    ) -> Iterator[GroupFigure]:
        ratios: dict[int, list[float]] = {brokers: [] for brokers in GROWN}
        lost = 0
        for number in range(repetitions):
            busiest = {}
            counts = (1, *GROWN)
            for brokers in counts if number % 2 else counts[::-1]:
                say(f"{self.name}: {brokers} brokers, {number + 1} of {repetitions}")
                found = forwarding.measure(self.load, brokers, seconds)
                busiest[brokers] = found.busiest_us
                lost += found.lost
            for brokers in GROWN:
                ratios[brokers].append(busiest[brokers] / busiest[1])
        costs = self._costs(repetitions, seconds, say)
        for brokers in GROWN:
            yield figure_of(
                self.bar,
                f"busiest of {brokers} brokers / one: {self.name}",
                ratios[brokers],
                "times",
                self.bounds[brokers],
                None if costs is None else predicted(self.workload, costs, brokers),
            )
        name = f"deliveries lost: {self.name}"
        yield figure_of(self.bar, name, [float(lost)], "events", 0.0)

    def _costs(self, repetitions: int, seconds: float, say: Say) -> EventCosts | None:
        """Of this load, from all of its subscribers and a few of them."""
        few = self.load.choices[::_FEWER]
        loads = [dataclasses.replace(self.load, choices=few), self.load]
        return _costs_of(loads, repetitions, seconds, say, self.name)


def predicted(workload: Workload, costs: EventCosts, brokers: int) -> float:
    """The ratio that the model of a group's capacity says."""
    points = grow(workload, costs, [brokers])
    return next(1 / point.speed_up for point in points if point.forwarding == "split")


def joins(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """A publisher joins at one broker; the broker of a subscriber notifies the subscriber."""
    median, last = [], []
    for number in range(repetitions):
        say(f"joins, {number + 1} of {repetitions}")
        found = registry.join_latencies_ms(_JOINS)
        median.append(percentile(found, 50))
        last.append(percentile(found, 99))
    name = "a join at one broker, told by another"
    yield figure_of("A2", f"{name}, p50", median, "ms", 40.0)
    yield figure_of("A2", f"{name}, p99", last, "ms", 250.0)


def moves(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """All clients of a broker that is killed register with others."""
    for clients, bound in _MOVING.items():
        took = []
        for number in range(repetitions):
            say(f"{clients} clients move, {number + 1} of {repetitions}")
            took.append(registry.move_s(clients))
        name = f"{clients:,} clients of a broker that is killed are at others"
        yield figure_of("A6", name, took, "s", bound)


def idle(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """Clients that do nothing but renew their leases."""
    say("idle clients")
    found = registry.idle(_IDLE, max(seconds, 20.0))
    name = f"{_IDLE:,} idle clients"
    yield figure_of(
        "A12", f"{name}: changes in etcd", [found.revisions], "changes", 0.0
    )
    yield figure_of(
        "A12",
        f"{name}: requests of a broker to etcd",
        [found.requests_per_s],
        "a second",
        2.0,
    )
    yield figure_of(
        "A12",
        f"{name}: processor time of a broker",
        [found.processor_ms_per_s],
        "ms a second",
    )


def mirrors(repetitions: int, seconds: float, say: Say) -> Iterator[GroupFigure]:
    """What a broker has of the clients of others."""
    runs = []
    for number in range(repetitions):
        say(f"clients of others, {number + 1} of {repetitions}")
        runs.append(registry.mirror(_MIRRORED))

    def figure(
        name: str, values: Sequence[float], unit: str, bound: float | None = None
    ) -> GroupFigure:
        return figure_of("A19", name, values, unit, bound)

    kib = [run.mirror_bytes / 1024 for run in runs]
    yield figure("memory of a broker for a client of another one", kib, "KiB", 5.0)
    change_us = [run.change_us for run in runs]
    yield figure(
        "processor time of a broker for a join at another", change_us, "us", 60
    )
    for name, starts, bound in (
        (f"start beside {_MIRRORED:,} clients", [run.start for run in runs], 2.0),
        ("start beside none", [run.empty_start for run in runs], None),
    ):
        yield figure(name, [start.seconds for start in starts], "s", bound)
        used = [start.processor_s for start in starts]
        yield figure(f"{name}, processor time", used, "s")
    yield figure("data in etcd for a client", [run.etcd_bytes for run in runs], "bytes")
    rates = [run.writes_per_s for run in runs]
    yield figure("registrations of a crowd", rates, "a second")


COSTS: Final = "costs"
PARTS: Final[Mapping[str, Callable[[int, float, Say], Iterator[GroupFigure]]]] = {
    "A2": joins,
    "A6": moves,
    "A12": idle,
    "A17": large_events,
    "A18": many_topics,
    "A19": mirrors,
}


def line_of(figure: GroupFigure) -> str:
    """One line for people."""
    met = "" if figure.bound is None else ("met  " if figure.met else "MISS ")
    asked = "" if figure.bound is None else f" <= {figure.bound:g}"
    expected = "" if figure.expected is None else f", model {figure.expected:.2f}"
    return (
        f"{figure.bar} {met}{figure.value:,.2f} ({figure.lowest:,.2f} to "
        f"{figure.highest:,.2f}{expected}) {figure.unit}{asked}  {figure.name}"
    )


def line_of_cost(measured: MeasuredCosts) -> str:
    """One line for people."""
    costs = measured.costs
    return (
        f"{measured.payload_bytes:,} B at {measured.events_per_s:,.0f}/s: "
        f"{costs.taken_us:.1f} us to receive an event, {costs.copy_us:.2f} us for each "
        f"copy (a = {costs.ratio:.1f})"
    )


def document(
    costs: Sequence[MeasuredCosts],
    figures: Sequence[GroupFigure],
    repetitions: int,
    seconds: float,
) -> dict[str, Any]:
    """Everything, for a JSON file."""
    from pubsub_perf.bench.suite import processor
    from pubsub_perf.experiment import environment

    return {
        "format": 1,
        "processor": processor(),
        **environment.describe(),
        "repetitions": repetitions,
        "seconds": seconds,
        "event_costs": [dataclasses.asdict(each) for each in costs],
        "figures": [figure.document() for figure in figures],
    }
