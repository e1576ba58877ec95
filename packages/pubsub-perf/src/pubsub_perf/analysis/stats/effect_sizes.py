"""Measures how much one group of runs differs from another, and how sure that is.

Functions of samples work along the last axis, so that thousands of bootstrap samples
are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def centre(sample: Floats) -> Floats:
    """Hodges and Lehmann's estimate of one sample's centre: the median of the means
    of all pairs (each value with itself, too)."""
    first, second = np.triu_indices(sample.shape[-1])
    middle: Floats = np.median((sample[..., first] + sample[..., second]) / 2, axis=-1)
    return middle


def shift(sample: Floats, other: Floats) -> Floats:
    """Hodges and Lehmann's shift: the median of all differences ``sample - other``."""
    differences = sample[..., :, None] - other[..., None, :]
    flat = differences.reshape(*differences.shape[:-2], -1)
    middle: Floats = np.median(flat, axis=-1)
    return middle


def cliffs_delta(sample: Floats, other: Floats) -> float:
    """How much more often a value of ``sample`` is the larger one of a pair than the
    smaller one: from -1 to 1; 0 when neither is."""
    return float(np.sign(sample[:, None] - other[None, :]).mean())


def mann_whitney(sample: Floats, other: Floats) -> float:
    """Two-sided p-value; exact for few values without ties."""
    if not np.ptp(np.concatenate([sample, other])):
        return 1.0
    return float(stats.mannwhitneyu(sample, other, alternative="two-sided").pvalue)


def stratified_mann_whitney(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Two-sided p-value of Mann and Whitney's U added up over strata (van Elteren's
    test with equal weights); exact, ties counted by halves and rounded to the middle.
    """
    chances = np.ones(1)
    total, most = 0.0, 0
    for sample, other in pairs:
        total += float((np.sign(sample[:, None] - other[None, :]) + 1).sum() / 2)
        most += len(sample) * len(other)
        chances = np.convolve(chances, _null(len(sample), len(other)))
    extreme = max(total, most - total)
    tail = chances[int(np.floor(extreme)) :].sum()
    return float(min(1.0, 2 * tail))


def _null(size: int, other: int) -> Floats:
    """The probabilities of U = 0, 1, … when both samples have one distribution: the
    coefficients of Gauss's binomial, by long division of polynomials."""
    counts = [1] + [0] * (size * other)  # Whole numbers: they get very large.
    for i in range(1, size + 1):
        factor = other + i
        for k in reversed(range(factor, len(counts))):
            counts[k] -= counts[k - factor]
        for k in range(i, len(counts)):
            counts[k] += counts[k - i]
    total = sum(counts)
    return np.array([count / total for count in counts])


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's method for all being looked at together."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
