"""The shapes of growth: formulas of latency against hosts, and their fit.

A shape is ``a + b g(n)``, with a >= 0 (latency of no hosts) and b >= 0, fitted to
the logarithms of the cells' centres. A shape always fits at least as well as a shape that it
contains, so two bounds keep shapes apart: a growing shape grows by
at least `MIN_RISE` from the smallest to the largest size, and the pole of the saturation
curve lies at most `MAX_POLE` times the largest size away (farther, it is a line).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.growth.log_fit import fit_logs
from pubsub_perf.analysis.stats import effect_sizes
from pubsub_perf.analysis.values.samples import Sample

MIN_SIZES: Final = 6
MIN_RISE: Final = 0.05
MAX_POLE: Final = 2.0
_POLES: Final = 1 + np.geomspace(0.005, MAX_POLE - 1, 80)

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A law ``a + b g(n)``. ``free``: its parameters, beside the variance."""

    name: str
    formula: str
    free: int
    term: Callable[[Floats, float], Floats]


def _saturating(hosts: Floats, pole: float) -> Floats:
    term: Floats = hosts / (1 - (hosts / pole) ** 2)
    return term


CONSTANT: Final = Shape("constant", "a", 1, lambda n, _: np.zeros_like(n))
LINEAR: Final = Shape("linear", "a + b·n", 2, lambda n, _: n)
N_LOG_N: Final = Shape("n log n", "a + b·n·ln n", 2, lambda n, _: n * np.log(n))
QUADRATIC: Final = Shape("quadratic", "a + b·n²", 2, lambda n, _: n**2)
SATURATION: Final = Shape("saturation", "a + b·n / (1 - (n/c)²)", 3, _saturating)
SHAPES: Final = (CONSTANT, LINEAR, N_LOG_N, QUADRATIC, SATURATION)
NOT_CURVED: Final = (CONSTANT.name, LINEAR.name)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A shape with its parameters; ``pole`` only means something for saturation.
    ``rss`` is of logarithms."""

    shape: Shape
    a: float
    b: float
    pole: float
    rss: float

    def at(self, hosts: Floats) -> Floats:
        """The curve, in seconds."""
        return self.a + self.b * self.shape.term(hosts, self.pole)


def fit_shape(
    shape: Shape, hosts: Floats, centres: Floats, largest: float | None = None
) -> Fitted:
    """Fit one shape to the centres of cells, in seconds. ``largest`` is the largest size
    at which the system was seen working, which the pole must be beyond."""
    largest = float(hosts.max()) if largest is None else largest
    logs = np.log(centres)
    if shape.free == 1:
        middle = logs.mean()
        rss = float(((logs - middle) ** 2).sum())
        return Fitted(shape, float(np.exp(middle)), 0.0, math.inf, rss)
    poles = largest * _POLES if shape is SATURATION else np.array([math.inf])
    terms = np.stack([shape.term(hosts, float(pole)) for pole in poles])
    fit = fit_logs(terms, logs, math.log1p(MIN_RISE))
    best = int(np.argmin(fit.rss))
    a, b, rss = (float(values[best]) for values in (fit.a, fit.b, fit.rss))
    return Fitted(shape, a, b, float(poles[best]), rss)


def centre_of(sample: Sample) -> float:
    """The centre of a cell's run medians, in seconds."""
    return float(np.exp(effect_sizes.centre(np.log(sample.medians))))
