"""Rounds: run r of every cell belongs to round r of the sweep.

A machine that warms up, or has other work, changes all cells of a round. A comparison
within rounds is not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.stats import effect_sizes
from pubsub_perf.analysis.values.samples import Sample

Floats = NDArray[np.float64]
Pick = Callable[[Sample], Floats | None]


def paired(
    first: Sample, second: Sample, pick: Pick, *, logarithmic: bool = True
) -> Floats | None:
    """The values of ``pick`` in the first cell minus those in the second, for each common
    round. Without a common round, one value: the difference of their centres. None if a
    cell has no values."""
    one, other = (
        by_round(cell, pick, logarithmic=logarithmic) for cell in (first, second)
    )
    if not one or not other:
        return None
    common = [number for number in one if number in other]
    if common:
        return np.array([one[number] - other[number] for number in common])
    centres = [
        effect_sizes.centre(np.array(list(each.values()))) for each in (one, other)
    ]
    return np.array([float(centres[0] - centres[1])])


def by_round(cell: Sample, pick: Pick, *, logarithmic: bool = True) -> dict[int, float]:
    """Rounds with their value; the mean where a folder has a round twice. Empty where the
    cell has no such values."""
    values = pick(cell)
    if values is None:
        return {}
    if logarithmic:
        values = np.log(values)
    numbers = np.array(cell.rounds)
    return {
        number: float(values[numbers == number].mean())
        for number in dict.fromkeys(cell.rounds)
    }


def without_drift(cells: Sequence[Sample]) -> list[Floats]:
    """The logarithms of the runs' medians, less what each round did to all cells: the
    median, over the cells that have it, of its distance from the cell's centre. So a cell
    that lacks a round can be compared with those that have it."""
    logs = [np.log(cell.medians) for cell in cells]
    distances: dict[int, list[float]] = {}
    for cell, values in zip(cells, logs, strict=True):
        if len(values) > 1:
            apart = values - effect_sizes.centre(values)
            for number, distance in zip(cell.rounds, apart, strict=True):
                distances.setdefault(number, []).append(float(distance))
    drift = {number: float(np.median(found)) for number, found in distances.items()}
    return [
        values - np.array([drift.get(number, 0.0) for number in cell.rounds])
        for cell, values in zip(cells, logs, strict=True)
    ]
