"""Predicts the latency of every centralized cell from a queueing model."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.analysis.queueing.broker_load import BrokerLoad
from pubsub_perf.analysis.queueing.broker_model import (
    Broker,
    assumptions,
    curve,
    far,
    full_at,
)
from pubsub_perf.analysis.queueing.stations import CellCost, Cost, fit_cost, sojourn_s
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.values.queueing import QueueingView, QueuePoint

FAR: Final = (1_000, 10_000)
# Above this there is no steady state; the 5 % allow for the unknown overhead of a
# link. Periodic publishers are served up to 1.
OVERLOADED: Final = 1.05
# Costs of an event and of a delivery are separated by fanouts that differ this much.
_MIN_SPREAD: Final = 1.5

Floats = NDArray[np.float64]


def queueing_view(loads: Sequence[BrokerLoad], resampling: Resampling) -> QueueingView:
    """The model, from all centralized cells with a record of their broker's work."""
    if not loads:
        return QueueingView(
            missing=("No finished centralized cell has a record of its broker's work.",)
        )
    loads, missing = _of_one_load(loads)
    cpu, why = _cost(
        [_cell(load, load.cpu_s) for load in loads], resampling, "processor"
    )
    missing += why
    sent, why = _cost(
        [_cell(load, load.sent_bytes) for load in loads], resampling, "link"
    )
    missing += why
    first = loads[0]
    bits_per_s = None if first.bandwidth_mbit is None else first.bandwidth_mbit * 1e6
    if bits_per_s is None:
        missing.append("Links are not limited, so only the processor can be a queue.")
    broker = Broker(
        cpu.station if cpu else None,
        sent.station if sent else None,
        bits_per_s,
        first.interval_s or 1.0,
        first.topics,
        first.periodic,
    )
    points, fixed_s = _points(loads, broker)
    if fixed_s == 0:
        missing.append(_too_fast(broker))
    view = QueueingView(
        per_event_s=cpu.per_event if cpu else None,
        per_delivery_s=cpu.per_delivery if cpu else None,
        background=cpu.background if cpu else None,
        bytes_per_delivery=sent.per_delivery.value if sent else None,
        link_per_delivery_s=broker.link.per_delivery if broker.link else None,
        fixed_s=fixed_s,
        points=tuple(points),
        assumptions=assumptions(broker),
        missing=tuple(missing),
    )
    hosts = [load.hosts for load in loads if load.hosts]
    if not (broker.stations() and first.interval_s and hosts):
        return view
    return dataclasses.replace(
        view,
        curve=curve(hosts, broker, fixed_s, periodic=False),
        curve_periodic=curve(hosts, broker, fixed_s, periodic=True)
        if broker.periodic
        else (),
        full_at_hosts=full_at(broker),
        extrapolations=tuple(far(broker, count, fixed_s) for count in FAR),
    )


def utilisations(load: BrokerLoad) -> tuple[float | None, float | None]:
    """Of processor and link, as measured in this cell."""
    cpu = link = None
    if len(load.cpu_s):
        cpu = load.events_per_s * float(load.cpu_s.mean())
    if len(load.sent_bytes) and load.bandwidth_mbit is not None:
        bits = 8 * load.events_per_s * float(load.sent_bytes.mean())
        link = bits / (load.bandwidth_mbit * 1e6)
    return cpu, link


def is_overloaded(load: BrokerLoad) -> bool:
    """Whether events arrived faster than the broker can serve."""
    return any((used or 0) >= OVERLOADED for used in utilisations(load))


def _of_one_load(loads: Sequence[BrokerLoad]) -> tuple[list[BrokerLoad], list[str]]:
    """The cells of the most frequent load; a curve is for one load."""

    def key(load: BrokerLoad) -> tuple[float | None, float | None, int, bool]:
        return load.interval_s, load.bandwidth_mbit, load.topics, load.periodic

    most = Counter(map(key, loads)).most_common(1)[0][0]
    kept = [load for load in loads if key(load) == most]
    others = len(loads) - len(kept)
    which = counted(others, "cell")
    missing = [f"Not shown: {which} under another load."] if others else []
    return sorted(kept, key=lambda load: (load.hosts or 0, load.network)), missing


def _cell(load: BrokerLoad, costs: Floats) -> CellCost:
    return CellCost(load.fanout, costs, load.seconds)


def _cost(
    cells: Sequence[CellCost], resampling: Resampling, what: str
) -> tuple[Cost | None, list[str]]:
    known = [cell for cell in cells if len(cell.costs)]
    if not known:
        return None, [f"No cell.json has figures of the broker's {what}."]
    fanouts = [cell.fanout for cell in known]
    if max(fanouts) < _MIN_SPREAD * min(fanouts):
        why = "needs cells of different numbers of subscribers"
        return None, [f"The broker's {what} for an event and a delivery: {why}."]
    return fit_cost(known, resampling, what), []


def _points(
    loads: Sequence[BrokerLoad], broker: Broker
) -> tuple[list[QueuePoint], float | None]:
    stations = broker.stations()
    planned = [sojourn_s(stations, load.arrivals) for load in loads]
    calm = [
        (max(filter(None, utilisations(load)), default=0.0), i)
        for i, load in enumerate(loads)
        if load.counted and load.mean_s is not None and planned[i] is not None
    ]
    at = min(calm)[1] if calm else None
    fixed_s = None
    if at is not None:
        fixed_s = max(0.0, (loads[at].mean_s or 0.0) - (planned[at] or 0.0))
    points = [
        dataclasses.replace(
            _point(load),
            predicted_s=_sum(sojourn_s(stations, load.random_arrivals), fixed_s),
            predicted_periodic_s=_sum(planned[i], fixed_s) if load.periodic else None,
            calibrated=i == at,
        )
        for i, load in enumerate(loads)
    ]
    return points, fixed_s


def _too_fast(broker: Broker) -> str:
    text = "Even the least used cell is faster than predicted"
    if broker.link is None:
        return f"{text}."
    ahead = units.duration(broker.link.per_delivery)
    return (
        f"{text}: a shaper sends the first packet of an idle link at once and makes the "
        f"next one wait, so it is ahead of the prediction by a packet ({ahead}) and its "
        "bucket."
    )


def _sum(inside_s: float | None, fixed_s: float | None) -> float | None:
    return None if inside_s is None or fixed_s is None else inside_s + fixed_s


def _point(load: BrokerLoad) -> QueuePoint:
    cpu, link = utilisations(load)
    note = "" if load.counted else "not counted in verdicts"
    if is_overloaded(load):
        note = "overloaded: latency grows during the run"
    return QueuePoint(
        network=load.network,
        kind=load.kind,
        hosts=load.hosts,
        fanout=load.fanout,
        events_per_s=load.events_per_s,
        cpu_utilisation=cpu,
        link_utilisation=link,
        measured_mean_s=load.mean_s,
        measured_median_s=load.median_s,
        predicted_s=None,
        predicted_periodic_s=None,
        note=note,
    )
