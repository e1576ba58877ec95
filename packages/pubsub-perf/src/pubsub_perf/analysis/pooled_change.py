"""The change of all cells from one sweep to another, as one number.

Cells scatter (each changed by its own factor), and so do rounds (the machine changes all
cells of a round), so the error has both: V = V(cells) + V(rounds) - V(of single runs, which
both hold), as in errors that are clustered in two ways (Cameron, Gelbach and Miller 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.stats import student
from pubsub_perf.analysis.stats.student import Student

Floats = NDArray[np.float64]
# The logarithms of a cell's runs, by round.
Rounds = dict[int, float]


def change_of(before: Rounds, after: Rounds) -> Student:
    """The change of one cell, by the scatter of its runs in each sweep."""
    parts = [student.of_runs(np.array(list(each.values()))) for each in (after, before)]
    return student.weighted(parts, np.array([1.0, -1.0]))


def pooled_change(cells: Sequence[tuple[Rounds, Rounds]]) -> Student:
    """The mean change over cells with equal weights. Each cell has enough runs for an
    interval in both sweeps."""
    changes = [change_of(before, after) for before, after in cells]
    count = len(changes)
    weights = np.full(count, 1 / count)
    of_runs = student.weighted(changes, weights)
    sides = [_round_means([cell[side] for cell in cells]) for side in (1, 0)]
    of_rounds = student.weighted(
        [student.of_runs(means) for means in sides], np.array([1.0, -1.0])
    )
    if count == 1:
        return of_runs
    centres = np.array([change.value for change in changes])
    of_cells = student.over_networks(centres, weights, np.ones((count, 1)))
    return _both(of_runs, of_rounds, of_cells)


def _round_means(cells: Sequence[Rounds]) -> Floats:
    """The effect of each round: the mean distance of its cells from their means."""
    distances: dict[int, list[float]] = {}
    for cell in cells:
        middle = float(np.mean(list(cell.values())))
        for number, value in cell.items():
            distances.setdefault(number, []).append(value - middle)
    return np.array([float(np.mean(found)) for found in distances.values()])


def _both(of_runs: Student, of_rounds: Student, of_cells: Student) -> Student:
    """The value with the error of cells and of rounds together."""
    first, second = of_rounds.error**2, of_cells.error**2
    shared = min(of_runs.error**2, first, second)
    total = first + second
    if not total:
        return Student(of_cells.value, 0.0, of_cells.freedom)
    freedom = total**2 / (first**2 / of_rounds.freedom + second**2 / of_cells.freedom)
    return Student(of_cells.value, math.sqrt(total - shared), freedom)
