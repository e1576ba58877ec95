"""Values with their standard errors, and Student's t intervals of them.

The effect of a sweep is a weighted sum over its networks: their mean, or a slope against
their hosts. Networks differ from each other in every run (links, phases, placement), and
runs of one network differ, too. So this sum has two errors:

- over networks: the scatter of the networks about what the least-squares design explains.
  It holds what runs add as well, whether runs depend on each other or not (an analysis of
  the means of a balanced mixed model), and it needs no runs, but networks.
- over runs: the scatter of the runs within each network, by Satterthwaite (1946). It alone
  knows that some networks scatter more than others.

`combined` makes one of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf.analysis.stats import effect_sizes
from pubsub_perf.analysis.values.estimate import MIN_RUNS, Estimate

LEVEL: Final = 0.95

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Student:
    """A value; its standard ``error`` with ``freedom`` degrees of freedom, or without
    (0) where none is known."""

    value: float
    error: float = math.inf
    freedom: float = 0.0

    def at(self, level: float = LEVEL) -> Estimate:
        """The value with its interval, if there is one."""
        if not self.freedom:
            return Estimate(self.value, level=level)
        reach = self.reach(level)
        return Estimate(self.value, self.value - reach, self.value + reach, level)

    def reach(self, level: float = LEVEL) -> float:
        """Half the width of the interval."""
        if not self.freedom:
            return math.inf
        return float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error

    def p_above(self, bound: float = 0.0) -> float:
        """One-sided p-value of "the truth is ``bound`` or less"."""
        if not self.freedom:
            return 1.0
        if not self.error:
            return 0.0 if self.value > bound else 1.0
        return float(stats.t.sf((self.value - bound) / self.error, self.freedom))

    def p_below(self, bound: float = 0.0) -> float:
        """One-sided p-value of "the truth is ``bound`` or more"."""
        return Student(-self.value, self.error, self.freedom).p_above(-bound)


def of_runs(values: Floats) -> Student:
    """The centre of one network's or cell's runs (Hodges and Lehmann)."""
    centre = float(effect_sizes.centre(values))
    if len(values) < MIN_RUNS:
        return Student(centre)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return Student(centre, error, len(values) - 1.0)


def over_runs(runs: Sequence[Floats], weights: Floats) -> Student:
    """The weighted sum of the centres, by the scatter of runs within each of them."""
    return weighted([of_runs(values) for values in runs], weights)


def weighted(parts: Sequence[Student], weights: Floats) -> Student:
    """The weighted sum of independent values."""
    value = float(weights @ np.array([part.value for part in parts]))
    if not all(part.freedom for part in parts):
        return Student(value)
    variances = np.array([part.error for part in parts]) ** 2 * weights**2
    total = float(variances.sum())
    freedoms = np.array([part.freedom for part in parts])
    if not total:
        return Student(value, 0.0, float(freedoms.sum()))
    freedom = total**2 / float((variances**2 / freedoms).sum())
    return Student(value, math.sqrt(total), freedom)


def over_networks(centres: Floats, weights: Floats, design: Floats) -> Student:
    """The weighted sum of ``centres``, by their scatter about the least-squares fit of
    ``design`` (a row for each network); ``weights`` are in the space of its columns."""
    value = float(weights @ centres)
    freedom = len(centres) - int(np.linalg.matrix_rank(design))
    if freedom < 1:
        return Student(value)
    fitted = design @ np.linalg.lstsq(design, centres)[0]
    # The residuals of an exact fit are rounding errors.
    left = np.where(
        np.isclose(centres, fitted, rtol=1e-12, atol=1e-12), 0.0, centres - fitted
    )
    scatter = float(left @ left) / freedom
    return Student(value, math.sqrt(scatter * float(weights @ weights)), float(freedom))


def combined(networks: Student, runs: Student, level: float = LEVEL) -> Student:
    """One value with both errors. Where networks scatter no more than their runs explain
    (F below its median), both are estimates of one scatter, and are pooled (Bancroft 1944;
    simulated with 7 networks of 3 runs, the error rate stays within 1.2 times the nominal
    one). Else the wider interval counts; one without an interval does not."""
    if not runs.freedom or not networks.freedom:
        return networks if networks.freedom else runs
    freedoms = networks.freedom, runs.freedom
    variances = networks.error**2, runs.error**2
    if variances[0] < variances[1] * stats.f.median(*freedoms):
        both = sum(f * v for f, v in zip(freedoms, variances, strict=True)) / sum(
            freedoms
        )
        return Student(networks.value, math.sqrt(both), sum(freedoms))
    return max(networks, runs, key=lambda each: each.reach(level))
