"""Measures how much one group of runs differs from another, and how sure that is.

Functions of samples work along the last axis, so that thousands of bootstrap samples
are computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's method for all being looked at together."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted
