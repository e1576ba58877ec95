"""The growth of latency with the number of hosts, as values. Latencies are seconds."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

from pubsub_perf.analysis.values.estimate import CurvePoint, Estimate, Verdict

# The range of tested exponents; a best value at its end may lie beyond.
EXPONENTS: Final = (0.1, 6.0)

# The test of a shape: residuals within the scatter of runs; within the differences of
# networks; or larger.
ShapeTest = Literal["fits", "unclear", "does not fit"]


@dataclasses.dataclass(frozen=True, slots=True)
class GrowthPoint:
    """The median latency of one run."""

    network: str
    run: int
    hosts: int
    median_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """A fitted parameter."""

    name: str
    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class ShapeFit:
    """One shape, fitted. ``delta``: its AICc less the smallest of all shapes.
    ``residuals``: ln(measured / fitted), in the order of the points. ``misfit``: the
    standard deviation (of logarithms) of its residuals beyond the scatter of runs; ``test``:
    whether it is too large."""

    name: str
    formula: str
    parameters: tuple[Parameter, ...]
    aicc: float
    delta: float
    weight: float
    test: ShapeTest
    misfit: float
    residuals: tuple[float, ...]
    curve: tuple[CurvePoint, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class HeldOut:
    """The largest size, predicted by the best shape fitted without it."""

    hosts: int
    predicted_s: float
    measured_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class GrowthRate:
    """The growth of latency for any shape: the ``factor`` from the smallest to
    the largest size, the factor of each doubling, the ``exponent`` p of ``a + b n^p``
    within `EXPONENTS`; and the ``scatter`` of a cell by chance of its runs, a standard
    deviation of logarithms."""

    factor: float
    per_doubling: Estimate
    exponent: Estimate
    scatter: float


@dataclasses.dataclass(frozen=True, slots=True)
class GrowthResult:
    """Median latency against hosts, of one model on one kind of network. ``shapes``
    are the best first: those that fit, those that may, those that do not; empty where
    none could be fitted. ``decided`` is the shape that
    is ahead of all others, fits, and agrees with the exponent; where there is none,
    ``note`` says why. ``no_shape``: not even the best of them fits. ``unsteady``: the
    cells that were not fitted, as they have no steady state."""

    model: str
    kind: str
    points: tuple[GrowthPoint, ...]
    shapes: tuple[ShapeFit, ...] = ()
    decided: str | None = None
    no_shape: bool = False
    nonlinear: Verdict = "undecided"
    quadratic: Verdict = "undecided"
    rate: GrowthRate | None = None
    held_out: HeldOut | None = None
    note: str = ""
    unsteady: tuple[str, ...] = ()
