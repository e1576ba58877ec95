"""Decides patterns 3 to 5: latency and the number of hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pubsub_common.text.counted import counted
from pubsub_perf.analysis.patterns import reasons, trends
from pubsub_perf.analysis.patterns.evidence import (
    Evidence,
    negligible_note,
    pattern_result,
    undecided_result,
)
from pubsub_perf.analysis.stats.verdicts import all_of, of_ratio
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import (
    Estimate,
    GrowthResult,
    LeftOut,
    Part,
    PatternResult,
)
from pubsub_perf.analysis.values.samples import CENTRALIZED, DECENTRALIZED, Sample


def grows_with_hosts(evidence: Evidence) -> PatternResult:
    """Pattern 3: the factor of each doubling of hosts, in each model."""
    effect = "factor of median latency for each doubling of hosts"
    parts: list[Part] = []
    used: list[Sample] = []
    left_out: list[LeftOut] = []
    for model in (CENTRALIZED, DECENTRALIZED):
        cells, others = trends.usable(evidence.samples.of(model))
        left_out += others
        if not cells:
            why = "no cells of two sizes of one kind of network that count"
            parts.append(Part(model, "undecided", effect, None, why))
            continue
        used += cells
        factor = trends.per_doubling(cells)
        verdict = of_ratio(factor, evidence.margin)
        hosts = [cell.hosts for cell in cells if cell.hosts]
        note = f"{min(hosts)} to {max(hosts)} hosts, {_networks(len(cells), factor)}"
        note += negligible_note(verdict, factor, evidence)
        parts.append(Part(model, verdict, effect, factor, note))
    verdict = all_of([part.verdict for part in parts if part.verdict])
    known = [part for part in parts if part.estimate]
    if not known:
        why = reasons.no_two_sizes(evidence.samples, "cells")
        return undecided_result(3, effect, evidence, why, left_out)
    sentence = "For each doubling of hosts: " + "; ".join(
        f"{part.name} {wording.ratio(part.estimate)} times ({part.note})"
        if part.estimate
        else f"{part.name} not known ({part.note})"
        for part in parts
    )
    smallest = min((p.estimate for p in known if p.estimate), key=lambda e: e.value)
    result = pattern_result(
        3, verdict, effect, smallest, f"{sentence}.", evidence, left_out, used
    )
    return dataclasses.replace(result, parts=tuple(parts))


def grows_faster_centralized(evidence: Evidence) -> PatternResult:
    """Pattern 4: the ratio of these factors, and the excess in seconds a host."""
    effect = "factor for each doubling of hosts, centralized / decentralized"
    cells, others = trends.usable([pair.centralized for pair in evidence.pairs])
    names = {cell.name for cell in cells}
    found = [pair for pair in evidence.pairs if pair.centralized.name in names]
    left_out = [*evidence.alone, *others]
    if not found:
        why = reasons.no_two_sizes(evidence.samples, "pairs of cells")
        return undecided_result(4, effect, evidence, why, left_out)
    ratio = trends.ratio_per_doubling(found)
    excess = trends.excess_per_host(found)
    verdict = of_ratio(ratio, evidence.margin)
    disagrees = (verdict == "supported" and (excess.high or 0) < 0) or (
        verdict == "contradicted" and (excess.low or 0) > 0
    )
    verdict = "undecided" if disagrees else verdict
    sentence = (
        f"Each doubling of hosts multiplies centralized latency "
        f"{wording.ratio(ratio)} times as much as direct latency "
        f"({_networks(len(found), ratio)}); each host adds {wording.seconds(excess)} more"
        f"{', which disagrees' if disagrees else ''}{negligible_note(verdict, ratio, evidence)}."
    )
    used = [cell for p in found for cell in (p.centralized, p.decentralized)]
    parts = (
        Part("relative", of_ratio(ratio, evidence.margin), effect, ratio),
        Part("absolute", None, "µs more for each host", _in_us(excess)),
    )
    result = pattern_result(
        4, verdict, effect, ratio, sentence, evidence, left_out, used
    )
    return dataclasses.replace(result, parts=parts)


def _networks(count: int, estimate: Estimate) -> str:
    """The number of networks behind a slope."""
    over = counted(count, "network")
    if estimate.bounded:
        return f"inferred over {over}"
    return f"{over}: too few sizes to tell growth from how networks differ"


def _in_us(estimate: Estimate) -> Estimate:
    low = None if estimate.low is None else estimate.low * 1e6
    high = None if estimate.high is None else estimate.high * 1e6
    return Estimate(estimate.value * 1e6, low, high, estimate.level)


def is_quadratic(evidence: Evidence, growth: Sequence[GrowthResult]) -> PatternResult:
    """Pattern 5: the shape that is ahead of all others, in each model."""
    effect = "exponent p of a + b·n^p"
    fitted = [result for result in growth if result.shapes]
    if not fitted:
        short = [f"{r.model} on {r.kind}: {r.note}" for r in growth]
        why = (
            "; ".join(short) or f"no cells count{reasons.not_counted(evidence.samples)}"
        )
        return undecided_result(5, effect, evidence, why, _short(growth))
    parts = [_shape_part(result, effect) for result in fitted]
    for model in (CENTRALIZED, DECENTRALIZED):
        if not any(result.model == model for result in fitted):
            note = (
                "; ".join(r.note for r in growth if r.model == model)
                or "no cells count"
            )
            parts.append(Part(model, "undecided", effect, None, note))
    verdict = all_of([part.verdict for part in parts if part.verdict])
    sentence = "; ".join(f"{part.name}: {part.note}" for part in parts)
    names = {(result.model, p.network) for result in fitted for p in result.points}
    used = [c for c in evidence.samples.cells if (c.model, c.network) in names]
    first = next((p.estimate for p in parts if p.estimate), None)
    result = pattern_result(
        5, verdict, effect, first, f"{sentence}.", evidence, _short(growth), used
    )
    return dataclasses.replace(result, parts=tuple(parts))


def _short(growth: Sequence[GrowthResult]) -> list[LeftOut]:
    """The cells without a fitted shape: in short series, or without steady state."""
    unsteady = [
        LeftOut(name, "no steady state: latency grows with the length of the run")
        for result in growth
        for name in result.unsteady
    ]
    return unsteady + [
        LeftOut(f"{result.model}/{network}", result.note)
        for result in growth
        if not result.shapes
        for network in dict.fromkeys(point.network for point in result.points)
    ]


def _shape_part(result: GrowthResult, effect: str) -> Part:
    note = result.note
    if result.decided:
        second = min(result.shapes[1:], key=lambda shape: shape.delta)
        note = f"{result.decided}, ahead of {second.name} by {second.delta:.1f} (AICc)"
    curved = {"supported": "yes", "contradicted": "no", "undecided": "undecided"}
    note += f"; curved: {curved[result.nonlinear]}"
    exponent = None
    if result.rate is not None:
        exponent = result.rate.exponent
        note += (
            f"; {wording.change(result.rate.factor)}, with exponent "
            f"{wording.exponent(exponent)}"
        )
    name = f"{result.model} on {result.kind}"
    return Part(name, result.quadratic, effect, exponent, note)
