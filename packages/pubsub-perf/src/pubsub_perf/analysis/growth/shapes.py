"""Finds the shape of growth: the formula of latency against hosts that fits the runs best.

Theory of operation. A shape is ``a + b g(n)``, with a >= 0 (latency of no hosts) and
b >= 0; what is fitted are the centres of the runs' medians of each cell, by least
squares of relative residuals. Two bounds keep each shape a claim of its own, since a
shape that contains another can never be beaten by it: one that grows does so by at
least `MIN_RISE` from the smallest to the largest size, and the pole of the saturation
curve lies at most `MAX_POLE` times the largest size away (farther, it is a line).

Cells differ from any curve for two reasons: chance of runs (variance s2/R, known from
the runs' scatter in their cells), and whatever makes this network unlike a smooth law
(t2, the same for all cells; each network has its own publishers' phases). The
likelihood of a shape is that of cell centres which scatter about it with variance
t2 + s2/R, t2 >= 0 being fitted with the shape. So many runs of one cell do not pretend
to be many sizes. AICc's sample size is, for the same reason, the number of runs divided
by their design effect (Kish 1965), which lies between the numbers of cells and of runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.stats import effect_sizes
from pubsub_perf.analysis.stats.least_squares import fit_two
from pubsub_perf.analysis.values.samples import Sample

MIN_SIZES: Final = 6
MIN_RISE: Final = 0.05
MAX_POLE: Final = 2.0
LEAD: Final = 4.0
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
    """A shape with its parameters; ``pole`` only means something for saturation."""

    shape: Shape
    a: float
    b: float
    pole: float
    rss: float
    aicc: float = math.inf

    def at(self, hosts: Floats) -> Floats:
        """The curve, in seconds."""
        return self.a + self.b * self.shape.term(hosts, self.pole)


def fit_shape(
    shape: Shape, hosts: Floats, centres: Floats, largest: float | None = None
) -> Fitted:
    """Fit one shape to the centres of cells. ``largest`` is the largest size at which
    the system was seen working, which the pole must be beyond."""
    largest = float(hosts.max()) if largest is None else largest
    one, y = 1 / centres, np.ones(len(centres))
    if shape.free == 1:
        a = float((one @ y) / (one @ one))
        return Fitted(shape, a, 0.0, math.inf, float(((y - a * one) ** 2).sum()))
    poles = largest * _POLES if shape is SATURATION else np.array([math.inf])
    terms = np.stack([shape.term(hosts, float(pole)) for pole in poles])
    # f(largest) >= (1 + rise) f(smallest) is b >= slope a: the cone between the curves
    # g alone and 1 + slope g.
    room = terms.max(axis=1) - (1 + MIN_RISE) * terms.min(axis=1)
    slopes = np.where(room > 0, MIN_RISE / np.where(room > 0, room, 1.0), 0.0)[:, None]
    fit = fit_two((1 + slopes * terms) * one, terms * one, y)
    best = int(np.argmin(fit.rss))
    a, rest = map(float, fit.coefficients[best])
    b = rest + float(slopes[best, 0]) * a
    return Fitted(shape, a, b, float(poles[best]), float(fit.rss[best]))


def compare(samples: Sequence[Sample], hosts: Floats, centres: Floats) -> list[Fitted]:
    """All shapes, the best first, with their AICc."""
    noise = _variance_within(samples) * float(np.mean([1 / s.runs for s in samples]))
    fits = [fit_shape(shape, hosts, centres) for shape in SHAPES]
    cells = len(samples)
    size = _effective_size(samples, min(fit.rss for fit in fits) / cells, noise)
    ranked = []
    for fit in fits:
        # Of t2 + s2/R, t2 >= 0, the best value is the residuals' own or the noise.
        variance = max(noise, fit.rss / cells, 1e-12)
        deviance = cells * math.log(variance) + fit.rss / variance
        free = fit.shape.free + 1
        spare = size - free - 1
        penalty = 2 * free * (free + 1) / spare if spare > 0 else math.inf
        aicc = deviance + 2 * free + penalty
        ranked.append(dataclasses.replace(fit, aicc=aicc))
    return sorted(ranked, key=lambda fit: fit.aicc)


def _variance_within(samples: Sequence[Sample]) -> float:
    """Of the logarithms of run medians in their cells; 0 where no cell has two."""
    squares = sum(
        float(((x := np.log(s.medians)) - x.mean()) @ (x - x.mean())) for s in samples
    )
    freedom = sum(s.runs - 1 for s in samples)
    return squares / freedom if freedom else 0.0


def _effective_size(samples: Sequence[Sample], misfit: float, noise: float) -> float:
    runs = sum(s.runs for s in samples)
    each = runs / len(samples)
    between, within = max(0.0, misfit - noise), noise * each
    if not between + within:
        return float(len(samples))
    return runs / (1 + (each - 1) * between / (between + within))


def centre_of(sample: Sample) -> float:
    """The centre of a cell's run medians, in seconds."""
    return float(np.exp(effect_sizes.centre(np.log(sample.medians))))
