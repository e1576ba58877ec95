"""The growth of latency for any shape: the factor of each doubling, and the exponent.

Both come from the cells' centres, as logarithms, and their intervals from the likelihood
by which shapes are ranked: cells scatter by chance of runs and because networks differ.
So a few precise runs of networks that differ do not make a narrow interval.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf.analysis.growth.log_fit import fit_logs
from pubsub_perf.analysis.growth.ranking import Scatter
from pubsub_perf.analysis.values.estimate import Estimate
from pubsub_perf.analysis.values.results import EXPONENTS

LEVEL: Final = 0.95
_STEP: Final = 0.05
_GRID: Final = np.arange(EXPONENTS[0], EXPONENTS[1] + _STEP / 2, _STEP).round(2)

Floats = NDArray[np.float64]


def per_doubling(hosts: Floats, centres: Floats, scatter: Scatter) -> Estimate:
    """The factor of latency for each doubling of hosts, by least squares of logarithms."""
    x, y = np.log2(hosts), np.log(centres)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    rss = float(((y - y.mean() - slope * x) ** 2).sum())
    variance, freedom = _unexplained(rss, len(hosts) - 2, scatter)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance / (x @ x))
    low, middle, high = (math.exp(slope + step) for step in (-reach, 0.0, reach))
    return Estimate(middle, low, high, LEVEL)


def exponent(hosts: Floats, centres: Floats, scatter: Scatter) -> Estimate:
    """The p of ``a + b n^p``: 1 for a line, 2 for a parabola; those of `EXPONENTS` are
    tried. The interval has every p that fits not much worse than the best (profile
    likelihood)."""
    rss = fit_logs((hosts / hosts.max()) ** _GRID[:, None], np.log(centres)).rss
    least = float(rss.min())
    variance, freedom = _unexplained(least, len(hosts) - 3, scatter)
    limit = least + variance * float(stats.f.ppf(LEVEL, 1, freedom)) + 1e-12
    inside = np.flatnonzero(rss <= limit)
    # Outwards to the next p that was tried.
    low = _GRID[max(0, inside[0] - 1)]
    high = _GRID[min(len(_GRID) - 1, inside[-1] + 1)]
    return Estimate(float(_GRID[np.argmin(rss)]), float(low), float(high), LEVEL)


def _unexplained(rss: float, freedom: int, scatter: Scatter) -> tuple[float, float]:
    """The variance of a cell about its law, and the degrees of freedom that it is known
    from: the residuals' own, or the scatter of runs where that is more."""
    square = rss / freedom
    if scatter.freedom and scatter.variance >= square:
        return scatter.variance, scatter.freedom
    return square, freedom
