"""Latencies and losses as text: one unit for compared values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

NOT_AVAILABLE: Final = "n/a"


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """``per_second`` of these make a second."""

    name: str
    per_second: float

    def show(self, seconds: float) -> str:
        """The number alone, with three significant digits and no exponent."""
        value = seconds * self.per_second
        magnitude = abs(value)
        if magnitude >= 99.95:
            return f"{value:,.0f}"
        if magnitude >= 9.995:
            return f"{value:.1f}"
        if magnitude >= 0.9995 or not magnitude:
            return f"{value:.2f}" if magnitude else "0"
        if magnitude >= 0.09995:
            return f"{value:.3f}"
        return f"{value:.4f}" if magnitude >= 0.01 else f"{value:.2g}"


MICROSECONDS: Final = Unit("µs", 1e6)
MILLISECONDS: Final = Unit("ms", 1e3)
SECONDS: Final = Unit("s", 1.0)


def unit_for(values_s: Iterable[float]) -> Unit:
    """The unit for all of these values: no number of microseconds has four digits, and the
    middle one of the values is below a thousand milliseconds."""
    ordered = sorted(map(abs, values_s))
    # As it is shown: 999.6 µs are a millisecond.
    if not ordered or ordered[-1] < 999.5e-6:
        return MICROSECONDS
    return MILLISECONDS if ordered[len(ordered) // 2] < 1.0 else SECONDS


def duration(seconds: float | None) -> str:
    """A latency on its own, in the unit that suits it: ``412 µs``."""
    if seconds is None:
        return NOT_AVAILABLE
    unit = unit_for([seconds])
    return f"{unit.show(seconds)} {unit.name}"


def loss(lost: int | None, expected: int | None) -> str:
    """``4 lost of 400``; says so when nobody counted."""
    if lost is None:
        return "loss not counted"
    if expected is None:
        return f"{lost:,} lost"
    return f"{lost:,} lost of {expected:,}"
