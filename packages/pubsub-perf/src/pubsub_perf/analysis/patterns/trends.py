"""Estimates how latency changes with the number of hosts, over all sizes at once.

The logarithm of a cell's centre (Hodges and Lehmann, of its runs' medians) is regressed
on the logarithm to base 2 of its hosts, with one slope for all kinds of networks and a
level for each: exp(slope) is the factor of each doubling of hosts. The error is that of
networks, which scatter about this line.
"""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_perf.analysis.growth.series import series_of, sizes
from pubsub_perf.analysis.patterns import model_pairs, over_networks, rounds
from pubsub_perf.analysis.patterns.model_pairs import ModelPair
from pubsub_perf.analysis.patterns.over_networks import Effect
from pubsub_perf.analysis.stats.bootstrap import exponential
from pubsub_perf.analysis.stats.verdicts import DECIDING
from pubsub_perf.analysis.values.results import Estimate, LeftOut
from pubsub_perf.analysis.values.samples import Sample


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


def per_doubling(cells: Sequence[Sample]) -> Estimate:
    """The factor of latency for each doubling of hosts. ``cells`` are usable."""
    runs = rounds.without_drift(cells)
    effects = [
        Effect((cell.kind, cell.load), cell.hosts, values)
        for cell, values in zip(cells, runs, strict=True)
    ]
    return exponential(over_networks.slope(effects, logarithmic=True).at(DECIDING))


def ratio_per_doubling(pairs: Sequence[ModelPair]) -> Estimate:
    """The centralized factor for each doubling over the decentralized one."""
    effects = model_pairs.effects_of(pairs, model_pairs.medians_of)
    return exponential(over_networks.slope(effects, logarithmic=True).at(DECIDING))


def excess_per_host(pairs: Sequence[ModelPair]) -> Estimate:
    """By how many seconds more each host raises the centralized latency."""
    effects = model_pairs.effects_of(pairs, model_pairs.medians_of, logarithmic=False)
    return over_networks.slope(effects, logarithmic=False).at(DECIDING)
