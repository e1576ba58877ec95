"""Predicts the broker's latency with other numbers of hosts from its stations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

import numpy as np

from pubsub_perf.analysis.queueing.stations import Load, Station, sojourn_s
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.estimate import CurvePoint
from pubsub_perf.analysis.values.queueing import Extrapolation

_MAX_HOSTS: Final = 10_000_000
_CURVE_POINTS: Final = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Broker:
    """The stations of the broker, and the load at each number of hosts. Without a
    bandwidth limit ``bits_per_s`` is missing. ``periodic``: publishers had fixed intervals."""

    cpu: Station | None
    bytes: Station | None
    bits_per_s: float | None
    interval_s: float
    topics: int
    periodic: bool = True

    @property
    def link(self) -> Station | None:
        if self.bytes is None or self.bits_per_s is None:
            return None
        second = 8 / self.bits_per_s
        return Station(self.bytes.per_event * second, self.bytes.per_delivery * second)

    def stations(self) -> list[Station]:
        return [station for station in (self.cpu, self.link) if station is not None]

    def load_of(self, hosts: int, *, periodic: bool) -> Load:
        """Of this many hosts, of which half publish."""
        subscribers = (hosts - 1) // 2
        publishers = hosts - 1 - subscribers
        return Load(
            publishers / self.interval_s,
            subscribers / self.topics,
            publishers if periodic else None,
        )

    def utilisation(self, station: Station | None, hosts: int) -> float | None:
        if station is None:
            return None
        return station.utilisation(self.load_of(hosts, periodic=True))

    def fullest(self, hosts: int) -> float:
        load = self.load_of(hosts, periodic=True)
        return max(station.utilisation(load) for station in self.stations())

    def predict_s(
        self, hosts: int, fixed_s: float | None, *, periodic: bool
    ) -> float | None:
        """Mean latency with this many hosts; None when a station is full."""
        inside_s = sojourn_s(self.stations(), self.load_of(hosts, periodic=periodic))
        if inside_s is None or fixed_s is None:
            return None
        return inside_s + fixed_s


def curve(
    measured: Iterable[int], broker: Broker, fixed_s: float | None, *, periodic: bool
) -> tuple[CurvePoint, ...]:
    """The prediction from the smallest to the largest of the measured sizes; where
    the broker is full there is none."""
    hosts = list(measured)
    grid = np.unique(np.geomspace(min(hosts), max(hosts), _CURVE_POINTS).round())
    predicted = (
        (count, broker.predict_s(int(count), fixed_s, periodic=periodic))
        for count in grid
    )
    return tuple(CurvePoint(float(n), value) for n, value in predicted if value)


def full_at(broker: Broker) -> int | None:
    """The smallest number of hosts at which a station is used all the time."""
    low, high = 3, _MAX_HOSTS
    if broker.fullest(high) < 1:
        return None
    while low < high:
        middle = (low + high) // 2
        if broker.fullest(middle) >= 1:
            high = middle
        else:
            low = middle + 1
    return low


def far(broker: Broker, hosts: int, fixed_s: float | None) -> Extrapolation:
    """The prediction for a size that was not measured."""
    cpu = broker.utilisation(broker.cpu, hosts)
    link = broker.utilisation(broker.link, hosts)
    return Extrapolation(
        hosts=hosts,
        cpu_utilisation=cpu,
        link_utilisation=link,
        predicted_s=broker.predict_s(hosts, fixed_s, periodic=False),
        predicted_periodic_s=broker.predict_s(hosts, fixed_s, periodic=True)
        if broker.periodic
        else None,
        sentence=_far_sentence(broker, hosts, cpu, link),
    )


def _far_sentence(
    broker: Broker, hosts: int, cpu: float | None, link: float | None
) -> str:
    used = [
        f"{name} at {wording.percent(share)}"
        for name, share in (("processor", cpu), ("link", link))
        if share is not None
    ]
    text = f"{hosts:,} hosts: the broker's {wording.listing(used)}"
    most = broker.fullest(hosts)
    if most >= 1:
        text += (
            "; more than it can do. Each publisher would have to wait at least "
            f"{wording.number(broker.interval_s * most)} s between events"
        )
    if broker.link is not None:
        fanout = broker.load_of(hosts, periodic=True).fanout
        own = broker.link.per_delivery * fanout / broker.interval_s
        text += f". In the direct model a publisher's link is at {wording.percent(own)}"
    return f"{text}."


def assumptions(broker: Broker) -> tuple[str, ...]:
    """The assumptions of the predictions."""
    found = [
        "Half of the hosts publish and half subscribe, each publisher at the measured "
        f"interval of {wording.number(broker.interval_s)} s, with the measured payload.",
        "Random arrivals (M/G/1) are the upper prediction; the periodic one is of "
        "publishers with fixed intervals and random phases, as in this sweep."
        if broker.periodic
        else "Publishers publish at random times (Poisson), so events arrive at random "
        "(M/G/1).",
        "Service takes the same time at every size: no limit of memory, connections or "
        "queue lengths is met, and nothing is lost.",
        "The broker has a processor for itself, and uses one at a time.",
        "The part of latency outside the broker is that of the least used cell at "
        "every size.",
        "The broker's link also carries acknowledgements, which are counted as part of "
        "its deliveries.",
    ]
    if broker.bits_per_s is not None:
        found.append(
            f"The link of the broker (or the trunk) carries "
            f"{wording.number(broker.bits_per_s / 1e6)} Mbit/s at every size."
        )
        found.append(
            "Each packet takes its time on the link, also on an idle link. A shaper (htb) "
            "sends a packet on an idle link at once, on credit, and delays the next one: "
            "measured latencies are shorter than predicted by one packet's time and by the "
            "content of its bucket, at every size."
        )
    return tuple(found)
