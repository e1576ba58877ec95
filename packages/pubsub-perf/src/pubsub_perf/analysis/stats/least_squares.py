"""Least squares of two terms with coefficients that are not negative.

Closed form (the solution is the free one, or lies on one of the two axes), so that
thousands of fits are one operation on arrays.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """``coefficients`` of shape (..., 2) and the ``rss``, the sum of squared
    residuals, of shape (...)."""

    coefficients: Floats
    rss: Floats


def fit_two(first: Floats, second: Floats, values: Floats) -> Fit:
    """Fit ``values`` by ``first`` and ``second`` along the last axis; all other axes
    are broadcast against each other. No term is all zero."""
    aa, ab, bb = _dot(first, first), _dot(first, second), _dot(second, second)
    ay, by, yy = _dot(values, first), _dot(values, second), _dot(values, values)
    determinant = aa * bb - ab * ab
    independent = determinant > 1e-12 * aa * bb
    divisor = np.where(independent, determinant, 1.0)
    a, b = (bb * ay - ab * by) / divisor, (aa * by - ab * ay) / divisor
    inside = independent & (a >= 0) & (b >= 0)
    only_a, only_b = np.maximum(ay / aa, 0), np.maximum(by / bb, 0)
    first_axis = ay * only_a >= by * only_b  # What each takes off the sum of squares.
    a = np.where(inside, a, np.where(first_axis, only_a, 0.0))
    b = np.where(inside, b, np.where(first_axis, 0.0, only_b))
    rss = yy - 2 * (a * ay + b * by) + a * a * aa + 2 * a * b * ab + b * b * bb
    return Fit(np.stack([a, b], axis=-1), np.maximum(rss, 0.0))


def _dot(one: Floats, other: Floats) -> Floats:
    product: Floats = (one * other).sum(axis=-1)
    return product
