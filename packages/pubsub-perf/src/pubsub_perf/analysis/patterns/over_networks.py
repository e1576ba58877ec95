"""Inference over networks: the mean of an effect, and its slope against hosts.

The unit is the network. With one or two networks there is no inference; the mean then
describes these networks alone, by their runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_common.text.counted import counted
from pubsub_perf.analysis.stats import student
from pubsub_perf.analysis.stats.student import Student
from pubsub_perf.analysis.stats.verdicts import DECIDING

# From this number of networks on, a mean is inferred over networks.
MIN_NETWORKS: Final = 3
# From this number on, networks are also explained by their size: this costs one degree of
# freedom, and an effect that grows with hosts does not count as scatter.
_MIN_FOR_SIZE: Final = 5
# The fewest networks that Wilcoxon's test can call significant: 2 / 2^6 = 0.03.
MIN_RANKED: Final = 6

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """The effect on one network, a value for each run (logarithms, or seconds)."""

    series: tuple[str, str]
    hosts: int | None
    runs: Floats


@dataclasses.dataclass(frozen=True, slots=True)
class Mean:
    """The mean over networks, and what it would be at the ends of their sizes."""

    value: Student
    ends: tuple[Student, ...]
    networks: int
    agree: int
    p_value: float | None

    @property
    def told(self) -> str:
        """The basis of the mean, as text."""
        over = counted(self.networks, "network")
        if self.networks < MIN_NETWORKS:
            return f"by the runs of {over} alone"
        text = f"{self.agree} of {over} agree"
        if self.p_value is not None:
            text += f", Wilcoxon p = {self.p_value:.2g}"
        return f"inferred over networks: {text}"


def mean(effects: Sequence[Effect], level: float = DECIDING) -> Mean:
    """The mean over networks, all of which weigh the same."""
    count = len(effects)
    weights = np.full(count, 1 / count)
    runs = [effect.runs for effect in effects]
    by_runs = student.over_runs(runs, weights)
    centres = _centres(effects)
    agree = int((np.sign(centres) == np.sign(by_runs.value)).sum())
    if count < MIN_NETWORKS:
        return Mean(by_runs, (), count, agree, None)
    size = _size(effects)
    design = (
        np.ones((count, 1)) if size is None else np.stack([weights * count, size], 1)
    )
    value = student.combined(
        student.over_networks(centres, weights, design), by_runs, level
    )
    ends: tuple[Student, ...] = ()
    if size is not None:
        slope = size / (size @ size)
        ends = tuple(
            student.over_networks(centres, weights + at * slope, design)
            for at in (size.min(), size.max())
        )
    return Mean(value, ends, count, agree, _wilcoxon(centres))


def _size(effects: Sequence[Effect]) -> Floats | None:
    """The logarithms of the networks' sizes about their mean; None where sizes are few."""
    hosts = {effect.hosts for effect in effects}
    if None in hosts or len(hosts) < MIN_NETWORKS or len(effects) < _MIN_FOR_SIZE:
        return None
    logs = np.log2([float(effect.hosts or 1) for effect in effects])
    centred: Floats = logs - logs.mean()
    return centred


def _wilcoxon(centres: Floats) -> float | None:
    """Two-sided p-value of Wilcoxon's signed ranks; None where it cannot be small."""
    if len(centres) < MIN_RANKED:
        return None
    rounded = np.where(np.abs(centres) < 1e-12, 0.0, centres)
    if not rounded.any():
        return 1.0
    return float(stats.wilcoxon(rounded).pvalue)


def slope(effects: Sequence[Effect], *, logarithmic: bool) -> Student:
    """The change with each doubling of hosts, or with each host: one slope for all series
    (kind of network and load), and a level for each. Every effect has hosts."""
    hosts = np.array([float(effect.hosts or 1) for effect in effects])
    at = np.log2(hosts) if logarithmic else hosts
    series = [effect.series for effect in effects]
    levels = np.array(
        [[each == name for name in dict.fromkeys(series)] for each in series]
    )
    design = np.column_stack([levels, at])
    within = at - levels @ (levels.T @ at / levels.sum(axis=0))
    weights = within / (within @ within)
    value = student.over_networks(_centres(effects), weights, design)
    if not value.freedom:
        return value
    return student.combined(
        value,
        student.over_runs([effect.runs for effect in effects], weights),
        DECIDING,
    )


def _centres(effects: Sequence[Effect]) -> Floats:
    return np.array([student.of_runs(effect.runs).value for effect in effects])
