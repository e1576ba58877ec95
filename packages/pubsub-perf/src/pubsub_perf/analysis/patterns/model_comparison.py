"""Decides patterns 1 and 2: the two models on the same networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from pubsub_perf.analysis.patterns import model_pairs, over_networks, reasons
from pubsub_perf.analysis.patterns.evidence import (
    Evidence,
    negligible_note,
    opposite_note,
    pattern_result,
    undecided_result,
)
from pubsub_perf.analysis.patterns.over_networks import Effect, Mean
from pubsub_perf.analysis.patterns.rounds import Pick
from pubsub_perf.analysis.stats.bootstrap import exponential
from pubsub_perf.analysis.stats.verdicts import (
    DECIDING,
    SIGNIFICANT,
    any_of,
    contrary,
    of_ratio,
)
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import (
    Estimate,
    LeftOut,
    Part,
    PatternResult,
    Verdict,
)
from pubsub_perf.analysis.values.samples import CENTRALIZED, DECENTRALIZED


def direct_is_smaller(evidence: Evidence) -> PatternResult:
    """Pattern 1: the ratio of medians, over networks."""
    effect = "median latency, centralized / decentralized"
    if not evidence.pairs:
        why = reasons.no_pairs(evidence.samples, evidence.alone)
        return undecided_result(1, effect, evidence, why)
    effects = model_pairs.effects_of(evidence.pairs, model_pairs.medians_of)
    mean = over_networks.mean(effects)
    ratio, verdict, against = _judged(
        mean, [c.ratio for c in evidence.compared], evidence
    )
    sentence = (
        f"Centralized latency is {wording.ratio(ratio)} times the direct one, {mean.told}"
        f"{opposite_note(against)}{negligible_note(verdict, ratio, evidence)}."
    )
    return pattern_result(1, verdict, effect, ratio, sentence, evidence, evidence.alone)


def _judged(
    mean: Mean,
    single: Sequence[Estimate],
    evidence: Evidence,
    level: float = DECIDING,
) -> tuple[Estimate, Verdict, int]:
    """The ratio with its verdict, and how many single networks, or ends of the sizes,
    show the opposite. Wilcoxon's test must agree where there are networks enough."""
    ratio = exponential(mean.value.at(level))
    verdict = of_ratio(ratio, evidence.margin)
    ends = [exponential(end.at(level)) for end in mean.ends]
    against = contrary(verdict, single, evidence.margin) or contrary(
        verdict, ends, evidence.margin
    )
    if against or (mean.p_value is not None and mean.p_value > SIGNIFICANT):
        verdict = "undecided"
    return ratio, verdict, against


def centralized_has_extremes(evidence: Evidence) -> PatternResult:
    """Pattern 2: p99 / p50, and p99.9 / p50 where there are events enough."""
    effect = "p99 / p50, centralized / decentralized"
    measures = [
        (name, pick, model_pairs.effects_of(evidence.pairs, pick))
        for name, pick in (
            ("p99", model_pairs.tail99_of),
            ("p99.9", model_pairs.tail999_of),
        )
    ]
    measures = [measure for measure in measures if measure[2]]
    if not measures:
        why = (
            reasons.too_few_events()
            if evidence.pairs
            else reasons.no_pairs(evidence.samples, evidence.alone)
        )
        return undecided_result(2, effect, evidence, why)
    level = model_pairs.simultaneous(len(measures), DECIDING)
    parts: list[Part] = []
    for name, pick, effects in measures:
        mean = over_networks.mean(effects, level)
        ratio, verdict, _ = _judged(mean, (), evidence, level)
        what = f"{name} / p50, centralized / decentralized"
        parts += [Part(f"{name} / p50", verdict, what, ratio, mean.told)]
        parts += _tails(evidence, name, pick)
    decisive = [part for part in parts if part.verdict is not None]
    verdict = any_of([part.verdict for part in decisive if part.verdict])
    tails = [c.tail_ratio for c in evidence.compared if c.tail_ratio]
    against = contrary(verdict, tails, evidence.margin)
    verdict = "undecided" if against else verdict
    first = decisive[0].estimate
    told = [f"{part.name} is {wording.ratio(part.estimate)} times" for part in decisive]
    equal = negligible_note(verdict, first, evidence) if first else ""
    sentence = (
        f"Relative to the median, centralized {wording.listing(told)} the direct one"
        f"{opposite_note(against)}{equal}."
    )
    have = [
        pair
        for pair in evidence.pairs
        if any(pair.effect(pick) is not None for _, pick, _ in measures)
    ]
    cells = [cell for p in have for cell in (p.centralized, p.decentralized)]
    few = [
        LeftOut(cell.name, "a run of the pair has too few events for p99")
        for cell in evidence.paired()
        if cell not in cells
    ]
    left_out = [*evidence.alone, *few]
    result = pattern_result(
        2, verdict, effect, first, sentence, evidence, left_out, cells
    )
    return dataclasses.replace(result, parts=tuple(parts))


def _tails(evidence: Evidence, name: str, pick: Pick) -> Iterable[Part]:
    """The tail ratio of each model by itself, for information."""
    both = [pair for pair in evidence.pairs if pair.effect(pick) is not None]
    for model in (CENTRALIZED, DECENTRALIZED):
        cells = [
            pair.centralized if model == CENTRALIZED else pair.decentralized
            for pair in both
        ]
        effects = [
            Effect((cell.kind, cell.load), cell.hosts, np.log(tails))
            for cell in cells
            if (tails := pick(cell)) is not None
        ]
        estimate = exponential(over_networks.mean(effects).value.at())
        yield Part(f"{name} / p50, {model}", None, f"{name} / p50", estimate)
