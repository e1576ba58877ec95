"""Estimates how latency changes with the number of hosts, over all sizes at once.

The logarithm of a cell's centre (Hodges and Lehmann, of its runs' medians) is regressed
on the logarithm to base 2 of its hosts, with one slope for all kinds of networks and a
level for each: exp(slope) is the factor of each doubling of hosts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.growth.series import series_of, sizes
from pubsub_perf.analysis.patterns.model_pairs import ModelPair
from pubsub_perf.analysis.stats import bootstrap, effect_sizes
from pubsub_perf.analysis.stats.bootstrap import LEVEL, Resampling
from pubsub_perf.analysis.values.results import Estimate, LeftOut
from pubsub_perf.analysis.values.samples import Sample

Floats = NDArray[np.float64]


def usable(cells: Sequence[Sample]) -> tuple[list[Sample], list[LeftOut]]:
    """The cells in series of two sizes or more, and the others."""
    used: list[Sample] = []
    for series in series_of(cells).values():
        if len(sizes(series)) > 1:
            used += series
    names = {cell.name for cell in used}
    left_out = [
        LeftOut(
            cell.name,
            f"the only size of {cell.kind} under this load"
            if cell.hosts
            else "number of hosts unknown",
        )
        for cell in cells
        if cell.name not in names
    ]
    return used, left_out


def per_doubling(
    cells: Sequence[Sample], resampling: Resampling, key: str, level: float = LEVEL
) -> Estimate:
    """The factor of latency for each doubling of hosts. ``cells`` are usable."""
    weights = _weights(cells, logarithmic=True)
    slope = bootstrap.interval(
        [np.log(cell.medians) for cell in cells],
        lambda drawn: _weighted(drawn, weights),
        resampling,
        key,
        level=level,
    )
    return bootstrap.exponential(slope)


def ratio_per_doubling(
    pairs: Sequence[ModelPair], resampling: Resampling, key: str
) -> Estimate:
    """The centralized factor for each doubling over the decentralized one."""
    weights = _weights([pair.centralized for pair in pairs], logarithmic=True)
    difference = bootstrap.interval(
        [np.log(s.medians) for p in pairs for s in (p.centralized, p.decentralized)],
        lambda drawn: _weighted(drawn[::2], weights) - _weighted(drawn[1::2], weights),
        resampling,
        key,
    )
    return bootstrap.exponential(difference)


def excess_per_host(
    pairs: Sequence[ModelPair], resampling: Resampling, key: str
) -> Estimate:
    """By how many seconds more each host raises the centralized latency."""
    weights = _weights([pair.centralized for pair in pairs], logarithmic=False)
    return bootstrap.interval(
        [s.medians for p in pairs for s in (p.centralized, p.decentralized)],
        lambda drawn: _weighted(drawn[::2], weights) - _weighted(drawn[1::2], weights),
        resampling,
        key,
    )


def mean_of(samples: Sequence[Floats], resampling: Resampling, key: str) -> Estimate:
    """The geometric mean over cells of their centres."""

    def statistic(drawn: Sequence[Floats]) -> Floats:
        mean: Floats = np.mean(
            [effect_sizes.centre(sample) for sample in drawn], axis=0
        )
        return mean

    strata = [np.log(sample) for sample in samples]
    return bootstrap.exponential(bootstrap.interval(strata, statistic, resampling, key))


def _weights(cells: Sequence[Sample], *, logarithmic: bool) -> Floats:
    """What each cell's value weighs in the slope of least squares."""
    hosts = np.array([float(cell.hosts or 1) for cell in cells])
    x = np.log2(hosts) if logarithmic else hosts
    series = [(cell.kind, cell.load) for cell in cells]
    for key in set(series):
        of_series = np.array([name == key for name in series])
        x[of_series] -= x[of_series].mean()
    weights: Floats = x / (x @ x)
    return weights


def _weighted(drawn: Sequence[Floats], weights: Floats) -> Floats:
    centres = np.stack([effect_sizes.centre(sample) for sample in drawn], axis=-1)
    slope: Floats = centres @ weights
    return slope
