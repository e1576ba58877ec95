"""Pairs of a centralized and a decentralized cell of the same network and load."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.stats import bootstrap, effect_sizes
from pubsub_perf.analysis.stats.bootstrap import LEVEL, Resampling
from pubsub_perf.analysis.values.results import Estimate, LeftOut, PairResult
from pubsub_perf.analysis.values.samples import (
    CENTRALIZED,
    DECENTRALIZED,
    Sample,
    Samples,
)

Floats = NDArray[np.float64]
Pick = Callable[[Sample], Floats | None]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ModelPair:
    """Two cells that differ in the model only."""

    centralized: Sample
    decentralized: Sample

    @property
    def network(self) -> str:
        return self.centralized.network

    def logs(self, pick: Pick) -> tuple[Floats, Floats] | None:
        """The logarithms of what ``pick`` takes of both; None where one has none."""
        first, second = pick(self.centralized), pick(self.decentralized)
        if first is None or second is None:
            return None
        return np.log(first), np.log(second)


def pairs_of(samples: Samples) -> tuple[list[ModelPair], list[LeftOut]]:
    """The pairs, by hosts, and the cells that have no partner."""
    direct = {cell.network: cell for cell in samples.of(DECENTRALIZED)}
    pairs, alone = [], []
    for cell in samples.of(CENTRALIZED):
        partner = direct.pop(cell.network, None)
        if partner is None:
            reason = f"no countable {DECENTRALIZED} cell on this network"
            alone.append(LeftOut(cell.name, reason))
        elif partner.load != cell.load:
            reason = f"loads differ: {cell.load} and {partner.load}"
            alone += [LeftOut(cell.name, reason), LeftOut(partner.name, reason)]
        else:
            pairs.append(ModelPair(cell, partner))
    reason = f"no countable {CENTRALIZED} cell on this network"
    alone += [LeftOut(cell.name, reason) for cell in direct.values()]
    return sorted(pairs, key=lambda p: (p.centralized.hosts or 0, p.network)), alone


def mean_ratio(
    logs: Sequence[tuple[Floats, Floats]],
    resampling: Resampling,
    key: str,
    level: float = LEVEL,
) -> Estimate:
    """Centralized over decentralized: the geometric mean over pairs of the ratios by
    Hodges and Lehmann. All pairs weigh the same."""
    strata = [sample for pair in logs for sample in pair]

    def statistic(drawn: Sequence[Floats]) -> Floats:
        shifts = [
            effect_sizes.shift(first, second)
            for first, second in zip(drawn[::2], drawn[1::2], strict=True)
        ]
        mean: Floats = np.mean(shifts, axis=0)
        return mean

    return bootstrap.exponential(
        bootstrap.interval(strata, statistic, resampling, key, level=level)
    )


def simultaneous(count: int, level: float = LEVEL) -> float:
    """The level at which each of ``count`` intervals must be so that all hold together
    at ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(1, count)


def medians_of(cell: Sample) -> Floats | None:
    """The medians of a cell's runs."""
    return cell.medians


def tail99_of(cell: Sample) -> Floats | None:
    """p99 over p50 of a cell's runs."""
    return cell.tail99


def tail999_of(cell: Sample) -> Floats | None:
    """p99.9 over p50 of a cell's runs."""
    return cell.tail999


def compare_pairs(
    pairs: Sequence[ModelPair], resampling: Resampling
) -> tuple[PairResult, ...]:
    """Each pair for itself, corrected for there being several."""
    level = simultaneous(len(pairs))
    p_values = [
        effect_sizes.mann_whitney(p.centralized.medians, p.decentralized.medians)
        for p in pairs
    ]
    adjusted = effect_sizes.holm(p_values)
    return tuple(
        _compare(pair, resampling, level, p_value, of_all)
        for pair, p_value, of_all in zip(pairs, p_values, adjusted, strict=True)
    )


def _compare(
    pair: ModelPair,
    resampling: Resampling,
    level: float,
    p_value: float,
    p_adjusted: float,
) -> PairResult:
    first, second = pair.centralized, pair.decentralized
    name = pair.network
    tails = pair.logs(tail99_of)
    shift = bootstrap.interval(
        [first.medians, second.medians],
        lambda drawn: effect_sizes.shift(drawn[0], drawn[1]),
        resampling,
        f"shift/{name}",
        level=level,
    )
    logs = (np.log(first.medians), np.log(second.medians))
    return PairResult(
        network=name,
        kind=first.kind,
        hosts=first.hosts,
        ratio=mean_ratio([logs], resampling, f"ratio/{name}", level),
        shift_s=shift,
        p_value=p_value,
        p_adjusted=p_adjusted,
        cliffs_delta=effect_sizes.cliffs_delta(first.medians, second.medians),
        tail_ratio=mean_ratio([tails], resampling, f"tail/{name}", level)
        if tails
        else None,
    )
