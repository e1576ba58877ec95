"""Fits curves ``a + b g(n)`` to logarithms of latency, by least squares.

On a logarithmic scale a value far below the curve costs as much as one far above it, and
a cell of a second weighs as much as one of a millisecond. The fit finds the
*rise*, the logarithm of the curve's ratio of its last to its first value: from the least
allowed rise to that of g alone (a = 0). The level follows from it. The search for the
rise uses an ever finer grid; many curves are fitted at once.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

# A grid of 21 points, refined 6 times: a rise with 1e-6 of its range.
_GRID: Final = np.linspace(0.0, 1.0, 21)
_ROUNDS: Final = 6
# No measured latency grows by more than this (1e11 times); also where g begins at 0.
_MOST_RISE: Final = 25.0

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class LogFit:
    """Of each curve: ``a``, ``b``, and the sum of squared residuals of logarithms."""

    a: Floats
    b: Floats
    rss: Floats


def fit_logs(terms: Floats, logs: Floats, least_rise: float = 0.0) -> LogFit:
    """Fit each row of ``terms``, which grows along its row, to ``logs``."""
    low, high = terms.min(axis=1), terms.max(axis=1)
    relative = (terms - low[:, None]) / (high - low)[:, None]
    with np.errstate(divide="ignore"):
        most = np.minimum(np.log(high / low), _MOST_RISE)
    least = np.minimum(least_rise, most)
    centred = logs - logs.mean()
    begin, end = least, most
    for _ in range(_ROUNDS):
        rises = begin[:, None] + (end - begin)[:, None] * _GRID
        misfits = _misfits(relative, rises, centred)
        best = np.argmin(misfits, axis=1)[:, None]
        rise = np.take_along_axis(rises, best, axis=1)[:, 0]
        step = (end - begin) * _GRID[1]
        begin, end = np.maximum(least, rise - step), np.minimum(most, rise + step)
    rss = np.take_along_axis(misfits, best, axis=1)[:, 0]
    # The curve is scale * (exp(-rise) + (1 - exp(-rise)) * relative).
    curve = np.log(np.exp(-rise)[:, None] - np.expm1(-rise)[:, None] * relative)
    scale = np.exp((logs - curve).mean(axis=1))
    b = -scale * np.expm1(-rise) / (high - low)
    return LogFit(np.maximum(scale * np.exp(-rise) - b * low, 0.0), b, rss)


def _misfits(relative: Floats, rises: Floats, centred: Floats) -> Floats:
    """Sums of squares, of shape (curves, rises)."""
    first = np.exp(-rises)[..., None]
    curves = np.log(first + (1 - first) * relative[:, None, :])
    residuals = centred - (curves - curves.mean(axis=-1, keepdims=True))
    total: Floats = (residuals**2).sum(axis=-1)
    return total
