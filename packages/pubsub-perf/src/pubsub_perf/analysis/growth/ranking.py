"""Ranks the fitted shapes, and tests whether the best of them fits at all.

Cells differ from any curve for two reasons: chance of runs (variance s2/R, known from
the runs' scatter in their cells), and peculiarities of each network, such as its publishers'
phases (variance t2, the same for all cells). The
likelihood of a shape is that of cell centres which scatter about it with variance
t2 + s2/R, where t2 >= 0 is fitted with the shape. So many runs of one cell do not count
like many sizes. AICc's sample size is, for the same reason, the number of runs divided
by their design effect (Kish 1965), which lies between the numbers of cells and of runs.

The best of several wrong shapes is still wrong. So there is a test of fit: the mean
square of the residuals of a shape, over the scatter of runs, is an F ratio. A
shape fits if its residuals are within that scatter and `TOLERANCE`, which keeps very many runs
from rejecting every law for a tiny difference. If the residuals are larger, the reason is another
shape or networks that differ; 7 points cannot separate these, and no shape is decided. If they
are larger than the difference of networks of one kind, `NETWORKS_DIFFER`, no shape fits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf.analysis.growth.shapes import SHAPES, Fitted, fit_shape
from pubsub_perf.analysis.values.results import ShapeTest
from pubsub_perf.analysis.values.samples import Sample

# AICc by which a shape must be ahead; Burnham and Anderson call 4 "considerably less
# support" for the other. Where a shape that grows leaves more than the scatter of runs, the
# likelihood itself is known from a few cells, and the shape must be ahead by more: otherwise, in
# simulations with networks that differ, n log n was decided for a line in 10 of 100.
LEAD: Final = 4.0
LEAD_OF_CELLS: Final = 8.0
# As logarithms, so about 2 % and 20 %. The first is too small to matter. With the second, a
# third of all networks differ from their law by more than a fifth: larger residuals are not
# scatter of networks.
TOLERANCE: Final = 0.02
NETWORKS_DIFFER: Final = 0.2
# That a shape leaves more than the scatter of runs is only a reason not to decide; that
# none fits is a verdict.
_UNCLEAR_BELOW: Final = 0.05
_REFUSED_BELOW: Final = 0.01

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Scatter:
    """By chance of runs: the ``variance`` of a cell's centre (of logarithms), and the
    degrees of ``freedom`` from which it is known."""

    variance: float
    freedom: int


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """A fitted shape with its AICc. ``misfit`` is the standard deviation (of
    logarithms) of its residuals beyond the scatter of runs."""

    fitted: Fitted
    aicc: float
    misfit: float
    test: ShapeTest

    @property
    def name(self) -> str:
        return self.fitted.shape.name


def scatter_of(samples: Sequence[Sample]) -> Scatter:
    """The scatter of runs, pooled over cells; variance 0 where no cell has two runs."""
    logs = [np.log(sample.medians) for sample in samples]
    squares = sum(float(((x - x.mean()) ** 2).sum()) for x in logs)
    freedom = sum(len(x) - 1 for x in logs)
    share = float(np.mean([1 / len(x) for x in logs]))
    return Scatter(share * squares / freedom if freedom else 0.0, freedom)


def rank(
    samples: Sequence[Sample], hosts: Floats, centres: Floats, scatter: Scatter
) -> list[Ranked]:
    """All shapes, the best first: those that fit, by AICc; then those that may, by AICc;
    then those that do not, by their residuals (AICc counts their parameters, as if
    they were right)."""
    fits = [fit_shape(shape, hosts, centres) for shape in SHAPES]
    least = min(fit.rss for fit in fits) / len(samples)
    size = _effective_size(samples, least, scatter.variance)
    ranked = [_ranked(fit, len(samples), size, scatter) for fit in fits]
    return sorted(ranked, key=_place)


def _place(found: Ranked) -> tuple[int, float]:
    by = found.misfit if found.test == "does not fit" else found.aicc
    return get_args(ShapeTest).index(found.test), by


def _ranked(fit: Fitted, cells: int, size: float, scatter: Scatter) -> Ranked:
    # Of t2 + s2/R, t2 >= 0, the best value is the residuals' own or the noise.
    variance = max(scatter.variance, fit.rss / cells, 1e-12)
    deviance = cells * math.log(variance) + fit.rss / variance
    free = fit.shape.free + 1
    spare = size - free - 1
    penalty = 2 * free * (free + 1) / spare if spare > 0 else math.inf
    square = fit.rss / (cells - fit.shape.free)
    misfit = math.sqrt(max(0.0, square - scatter.variance))
    test = _test(square, cells - fit.shape.free, scatter)
    return Ranked(fit, deviance + 2 * free + penalty, misfit, test)


def _test(square: float, freedom: int, scatter: Scatter) -> ShapeTest:
    """The test of the mean square of a shape's residuals."""

    def p_value(allowed: float) -> float:
        if not scatter.freedom:
            return 1.0
        ratio = square / (scatter.variance + allowed**2)
        return float(stats.f.sf(ratio, freedom, scatter.freedom))

    if p_value(NETWORKS_DIFFER) < _REFUSED_BELOW:
        return "does not fit"
    return "unclear" if p_value(TOLERANCE) < _UNCLEAR_BELOW else "fits"


def _effective_size(samples: Sequence[Sample], misfit: float, noise: float) -> float:
    runs = sum(s.runs for s in samples)
    each = runs / len(samples)
    between, within = max(0.0, misfit - noise), noise * each
    if not between + within:
        return float(len(samples))
    return runs / (1 + (each - 1) * between / (between + within))
