"""Pairs of a centralized and a decentralized cell of the same network and load."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.patterns import rounds
from pubsub_perf.analysis.patterns.over_networks import Effect
from pubsub_perf.analysis.patterns.rounds import Pick
from pubsub_perf.analysis.stats import effect_sizes, student
from pubsub_perf.analysis.stats.bootstrap import exponential
from pubsub_perf.analysis.stats.student import LEVEL, Student
from pubsub_perf.analysis.values.results import LeftOut, PairResult
from pubsub_perf.analysis.values.samples import (
    CENTRALIZED,
    DECENTRALIZED,
    Sample,
    Samples,
)

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class ModelPair:
    """Two cells that differ in the model only."""

    centralized: Sample
    decentralized: Sample

    @property
    def network(self) -> str:
        return self.centralized.network

    def effect(self, pick: Pick, *, logarithmic: bool = True) -> Effect | None:
        """Centralized less decentralized, round by round; None where one has no such
        values."""
        first = self.centralized
        runs = rounds.paired(first, self.decentralized, pick, logarithmic=logarithmic)
        if runs is None:
            return None
        return Effect((first.kind, first.load), first.hosts, runs)


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


def effects_of(
    pairs: Iterable[ModelPair], pick: Pick, *, logarithmic: bool = True
) -> list[Effect]:
    """The effects on the networks that have them."""
    found = (pair.effect(pick, logarithmic=logarithmic) for pair in pairs)
    return [effect for effect in found if effect is not None]


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


def compare_pairs(pairs: Sequence[ModelPair]) -> tuple[PairResult, ...]:
    """Each pair for itself, paired by round, corrected for there being several."""
    level = simultaneous(len(pairs))
    ratios = [_student(pair, medians_of) for pair in pairs]
    p_values = [
        min(1.0, 2 * min(ratio.p_above(), ratio.p_below())) if ratio else 1.0
        for ratio in ratios
    ]
    adjusted = effect_sizes.holm(p_values)
    return tuple(
        _compare(pair, level, p_value, of_all)
        for pair, p_value, of_all in zip(pairs, p_values, adjusted, strict=True)
    )


def _student(
    pair: ModelPair, pick: Pick, *, logarithmic: bool = True
) -> Student | None:
    found = pair.effect(pick, logarithmic=logarithmic)
    return None if found is None else student.of_runs(found.runs)


def _compare(
    pair: ModelPair, level: float, p_value: float, p_adjusted: float
) -> PairResult:
    first, second = pair.centralized, pair.decentralized
    ratio, tail = _student(pair, medians_of), _student(pair, tail99_of)
    shift = _student(pair, medians_of, logarithmic=False)
    assert ratio is not None
    assert shift is not None  # Every cell has medians.
    return PairResult(
        network=pair.network,
        kind=first.kind,
        hosts=first.hosts,
        ratio=exponential(ratio.at(level)),
        shift_s=shift.at(level),
        p_value=p_value,
        p_adjusted=p_adjusted,
        cliffs_delta=effect_sizes.cliffs_delta(first.medians, second.medians),
        tail_ratio=None if tail is None else exponential(tail.at(level)),
    )
