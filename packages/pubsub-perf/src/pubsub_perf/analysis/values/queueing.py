"""Results of the queueing model of the centralized broker."""

from __future__ import annotations

import dataclasses

from pubsub_perf.analysis.values.estimate import CurvePoint, Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class QueuePoint:
    """One centralized cell in the queueing view. None: not known, or no steady state.
    ``predicted_s`` is for random arrivals, ``predicted_periodic_s`` for publishers with
    fixed intervals; both are means. ``calibrated``: their fixed part was taken from
    this cell."""

    network: str
    kind: str
    hosts: int | None
    fanout: float
    events_per_s: float
    cpu_utilisation: float | None
    link_utilisation: float | None
    measured_mean_s: float | None
    measured_median_s: float | None
    predicted_s: float | None
    calibrated: bool = False
    note: str = ""
    predicted_periodic_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Extrapolation:
    """What the model says of a size that was not measured."""

    hosts: int
    cpu_utilisation: float | None
    link_utilisation: float | None
    predicted_s: float | None
    sentence: str
    predicted_periodic_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class QueueingView:
    """The centralized broker as a queue. ``background``: the share of a processor that
    the broker uses without any event. ``missing``: why a part of it is not there."""

    per_event_s: Estimate | None = None
    per_delivery_s: Estimate | None = None
    background: Estimate | None = None
    bytes_per_delivery: float | None = None
    link_per_delivery_s: float | None = None
    fixed_s: float | None = None
    points: tuple[QueuePoint, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    curve_periodic: tuple[CurvePoint, ...] = ()
    full_at_hosts: int | None = None
    extrapolations: tuple[Extrapolation, ...] = ()
    assumptions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
