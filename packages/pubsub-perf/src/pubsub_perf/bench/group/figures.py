"""Figures of a group: their bars, and the medians of several runs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from pubsub_perf.capacity.costs import EventCosts


@dataclasses.dataclass(frozen=True, slots=True)
class GroupFigure:
    """The median of several runs, with its bound: at most. ``expected`` is what the model of
    a group's capacity says, where it says something."""

    bar: str
    name: str
    value: float
    unit: str
    bound: float | None = None
    lowest: float | None = None
    highest: float | None = None
    expected: float | None = None

    @property
    def met(self) -> bool:
        return self.bound is None or self.value <= self.bound

    def document(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self) | {"met": self.met}


def figure_of(
    bar: str,
    name: str,
    values: Sequence[float],
    unit: str,
    bound: float | None = None,
    expected: float | None = None,
) -> GroupFigure:
    """Of the values of all runs."""
    return GroupFigure(
        bar,
        name,
        statistics.median(values),
        unit,
        bound,
        min(values),
        max(values),
        expected,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class CostPoint:
    """One broker used so many microseconds for an event of which it took in the share
    ``taken`` and sent ``copies``, on average."""

    taken: float
    copies: float
    event_us: float


def fit_costs(points: Sequence[CostPoint]) -> EventCosts | None:
    """The costs that fit best (least squares); None where they cannot be told apart, or
    chance makes one of them less than nothing."""
    taken_2 = sum(point.taken**2 for point in points)
    copies_2 = sum(point.copies**2 for point in points)
    both = sum(point.taken * point.copies for point in points)
    taken_us = sum(point.taken * point.event_us for point in points)
    copies_us = sum(point.copies * point.event_us for point in points)
    determinant = taken_2 * copies_2 - both**2
    if determinant <= 1e-9 * taken_2 * copies_2:
        return None
    found = EventCosts(
        (taken_us * copies_2 - copies_us * both) / determinant,
        (copies_us * taken_2 - taken_us * both) / determinant,
    )
    return found if min(found.taken_us, found.copy_us) > 0 else None


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
