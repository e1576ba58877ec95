"""The work of one centralized cell's broker, and its cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.queueing.stations import Load
from pubsub_perf.plan.cases import PERIODIC
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class BrokerLoad:
    """Of all runs that did not fail. ``fanout``: deliveries of one event. ``cpu_s`` and
    ``sent_bytes`` are per event, one value a run; empty where nobody measured them.
    ``interval_s``: between two events of a publisher, on average where its arrivals are not
    ``periodic``. ``seconds``: of measurement for
    each event."""

    network: str
    kind: str
    hosts: int | None
    events_per_s: float
    fanout: float
    topics: int
    interval_s: float | None
    bandwidth_mbit: float | None
    cpu_s: Floats
    sent_bytes: Floats
    seconds: float | None = None
    mean_s: float | None = None
    median_s: float | None = None
    counted: bool = True
    periodic: bool = True

    @property
    def arrivals(self) -> Load:
        """As the publishers send, where that is known."""
        if self.interval_s is None or not self.periodic:
            return self.random_arrivals
        publishers = max(1, round(self.events_per_s * self.interval_s))
        return Load(self.events_per_s, self.fanout, publishers)

    @property
    def random_arrivals(self) -> Load:
        return Load(self.events_per_s, self.fanout)


def broker_load(
    network: str,
    kind: str,
    hosts: int | None,
    metas: Sequence[Meta],
    means_s: Sequence[float],
    medians_s: Sequence[float],
    *,
    counted: bool,
) -> BrokerLoad | None:
    """From the ``cell.json`` of a cell's runs; None if they lack the number of
    events through the broker."""
    known = [meta for meta in metas if _positive(meta, "broker", "events")]
    known = [meta for meta in known if _positive(meta, "broker", "deliveries")]
    if not known:
        return None
    events = np.array([cell_fields.number(m, "broker", "events") for m in known], float)
    deliveries = [cell_fields.number(m, "broker", "deliveries") or 0.0 for m in known]
    rate = _rate(known[0], float(events.mean()))
    if rate is None:
        return None
    return BrokerLoad(
        network=network,
        kind=kind,
        hosts=hosts,
        events_per_s=rate,
        fanout=sum(deliveries) / float(events.sum()),
        topics=cell_fields.count(known[0], "parameters", "topics") or 1,
        interval_s=_positive(known[0], "parameters", "interval_s"),
        bandwidth_mbit=_positive(known[0], "parameters", "bandwidth_mbit"),
        cpu_s=_per_event(known, "cpu_s", events),
        sent_bytes=_per_event(known, "tx_bytes", events),
        seconds=_seconds(known, events),
        mean_s=float(np.mean(means_s)) if len(means_s) else None,
        median_s=float(np.median(medians_s)) if len(medians_s) else None,
        counted=counted,
        periodic=cell_fields.find(known[0], "parameters", "arrivals")
        in (None, PERIODIC),
    )


def _rate(meta: Meta, events: float) -> float | None:
    """Events a second: as planned, else as counted."""
    publishers = cell_fields.size(meta, "hosts", "publishers") or 0
    interval_s = _positive(meta, "parameters", "interval_s")
    if publishers and interval_s:
        return publishers / interval_s
    span_s = _positive(meta, "measured_s")
    return events / span_s if span_s else None


def _seconds(metas: Sequence[Meta], events: Floats) -> float | None:
    spans = [_positive(meta, "measured_s") for meta in metas]
    known = [span for span in spans if span is not None]
    return sum(known) / float(events.sum()) if len(known) == len(metas) else None


def _per_event(metas: Sequence[Meta], field: str, events: Floats) -> Floats:
    values = [_positive(meta, "broker", field) for meta in metas]
    if None in values:
        return np.empty(0)
    return np.array(values, dtype=np.float64) / events


def _positive(meta: Meta, *path: str) -> float | None:
    value = cell_fields.number(meta, *path)
    return value if value is not None and value > 0 else None
