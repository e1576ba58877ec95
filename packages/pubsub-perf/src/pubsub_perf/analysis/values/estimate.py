"""A number with its interval, a point of a curve, and a verdict."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

# Runs of a cell below which its values have no interval.
MIN_RUNS: Final = 3

Verdict = Literal["supported", "contradicted", "undecided"]


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval at ``level`` (0.95: 95 %)."""

    value: float
    low: float | None = None
    high: float | None = None
    level: float = 0.95

    @property
    def bounded(self) -> bool:
        return self.low is not None and self.high is not None


@dataclasses.dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a curve to be drawn."""

    hosts: float
    latency_s: float
