"""The texts of the figure of the centralized broker's queue."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.analysis.values.results import QueueingView, QueuePoint


def alert(points: Sequence[QueuePoint], overloaded: Collection[str]) -> str:
    """A warning if the machine could not keep up."""
    count = sum(point.network in overloaded for point in points)
    if not count:
        return ""
    return (
        f"\N{WARNING SIGN} In {counted(count, 'cell')} (ringed) the "
        "machine was strained or saturated: a queue for its processors is in no "
        "prediction."
    )


def rates(view: QueueingView) -> str:
    """The service times of an event."""
    parts = []
    if view.per_event_s is not None:
        parts.append(f"service {units.duration(view.per_event_s.value)} per event")
    if view.per_delivery_s is not None:
        parts.append(f"{units.duration(view.per_delivery_s.value)} per delivery")
    if view.link_per_delivery_s is not None:
        sent = units.duration(view.link_per_delivery_s)
        parts.append(f"{sent} on the link per delivery")
    return ", ".join(parts)


def caption(view: QueueingView, points: Sequence[QueuePoint]) -> list[str]:
    """The kinds of predictions, and the cells without one."""
    lines = [
        "M/G/1 prediction from the broker's measured service time; dashes: for the very "
        "load of a cell."
    ]
    without = sum(point.predicted_s is None for point in points)
    if without:
        which = counted(without, "cell")
        lines.append(f"No prediction for {which}: no steady state, or not known.")
    if view.full_at_hosts is not None:
        lines.append(f"The broker is full at {view.full_at_hosts:,} hosts.")
    return lines


def description(points: Sequence[QueuePoint]) -> str:
    """The figure in words."""
    compared = [
        (p, p.predicted_s / p.measured_mean_s)
        for p in points
        if p.predicted_s is not None and p.measured_mean_s
    ]
    parts = [
        f"{point.network}: predicted {units.duration(point.predicted_s)}, measured "
        f"{units.duration(point.measured_mean_s)}"
        for point, _ in compared
    ]
    return (
        "Mean latency of the centralized broker, measured and predicted by a queue. "
        f"{'; '.join(parts)}."
    )
