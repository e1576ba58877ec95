"""Decides patterns 1 and 2: the two models on the same networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from pubsub_perf import units
from pubsub_perf.analysis.patterns import model_pairs, reasons, trends
from pubsub_perf.analysis.patterns.evidence import (
    Evidence,
    negligible_note,
    opposite_note,
    pattern_result,
    undecided_result,
)
from pubsub_perf.analysis.stats import effect_sizes
from pubsub_perf.analysis.stats.verdicts import SIGNIFICANT, any_of, contrary, of_ratio
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import LeftOut, Part, PatternResult
from pubsub_perf.analysis.values.samples import CENTRALIZED, DECENTRALIZED


def direct_is_smaller(evidence: Evidence) -> PatternResult:
    """Pattern 1: ratio of medians over all pairs, and Mann and Whitney's test."""
    effect = "median latency, centralized / decentralized"
    if not evidence.pairs:
        why = reasons.no_pairs(evidence.samples, evidence.alone)
        return undecided_result(1, effect, evidence, why)
    logs = [logs for p in evidence.pairs if (logs := p.logs(model_pairs.medians_of))]
    ratio = model_pairs.mean_ratio(logs, evidence.resampling, "pattern 1")
    p_value = effect_sizes.stratified_mann_whitney(logs)
    verdict = of_ratio(ratio, evidence.margin)
    against = contrary(verdict, [c.ratio for c in evidence.compared], evidence.margin)
    if p_value > SIGNIFICANT or against:
        verdict = "undecided"
    over = units.counted(len(logs), "network", "networks")
    sentence = (
        f"Centralized latency is {wording.ratio(ratio)} times the direct one over {over} "
        f"(Mann-Whitney p = {wording.number(p_value)})"
        f"{opposite_note(against)}{negligible_note(verdict, ratio, evidence)}."
    )
    return pattern_result(1, verdict, effect, ratio, sentence, evidence, evidence.alone)


def centralized_has_extremes(evidence: Evidence) -> PatternResult:
    """Pattern 2: p99 / p50, and p99.9 / p50 where there are events enough."""
    effect = "p99 / p50, centralized / decentralized"
    measures = [
        (name, pick, [x for p in evidence.pairs if (x := p.logs(pick))])
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
    level = model_pairs.simultaneous(len(measures))
    parts: list[Part] = []
    for name, pick, logs in measures:
        ratio = model_pairs.mean_ratio(
            logs, evidence.resampling, f"pattern 2/{name}", level
        )
        p_value = effect_sizes.stratified_mann_whitney(logs)
        verdict = of_ratio(ratio, evidence.margin)
        if p_value > SIGNIFICANT / len(measures):
            verdict = "undecided"
        over = units.counted(len(logs), "network", "networks")
        note = f"{over}, Mann-Whitney p = {wording.number(p_value)}"
        what = f"{name} / p50, centralized / decentralized"
        parts += [Part(f"{name} / p50", verdict, what, ratio, note)]
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
    have = [p for p in evidence.pairs if any(p.logs(pick) for _, pick, _ in measures)]
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


def _tails(evidence: Evidence, name: str, pick: model_pairs.Pick) -> Iterable[Part]:
    """The tail ratio of each model by itself, for information."""
    for model in (CENTRALIZED, DECENTRALIZED):
        both = [p for p in evidence.pairs if p.logs(pick)]
        cells = [
            p.centralized if model == CENTRALIZED else p.decentralized for p in both
        ]
        tails = [tail for cell in cells if (tail := pick(cell)) is not None]
        yield Part(
            f"{name} / p50, {model}",
            None,
            f"{name} / p50",
            trends.mean_of(tails, evidence.resampling, f"tail/{name}/{model}"),
        )
