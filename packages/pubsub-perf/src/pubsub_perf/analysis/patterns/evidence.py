"""The data for deciding patterns, and the form of the results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_perf.analysis.patterns import model_pairs
from pubsub_perf.analysis.patterns.model_pairs import ModelPair
from pubsub_perf.analysis.stats.verdicts import negligible
from pubsub_perf.analysis.values.estimate import MIN_RUNS
from pubsub_perf.analysis.values.results import (
    Estimate,
    LeftOut,
    PairResult,
    PatternResult,
    Verdict,
)
from pubsub_perf.analysis.values.samples import Sample, Samples

CLAIMS: Final = (
    "Latency is smaller with direct than with centralized dissemination",
    "Centralized dissemination has more extreme latencies",
    "Latency grows with the number of hosts, in both models",
    "It grows faster with centralized dissemination",
    "The growth is not linear; it seems to be quadratic",
)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The countable cells, and their pairs on one network; ``alone`` are the cells
    that have no partner."""

    samples: Samples
    pairs: Sequence[ModelPair]
    alone: Sequence[LeftOut]
    compared: Sequence[PairResult]
    margin: float

    @staticmethod
    def of(samples: Samples, margin: float) -> Evidence:
        found, alone = model_pairs.pairs_of(samples)
        compared = model_pairs.compare_pairs(found)
        return Evidence(samples, found, alone, compared, margin)

    def paired(self) -> list[Sample]:
        return [
            s for pair in self.pairs for s in (pair.centralized, pair.decentralized)
        ]


def pattern_result(
    number: int,
    verdict: Verdict,
    effect: str,
    estimate: Estimate | None,
    sentence: str,
    evidence: Evidence,
    left_out: Iterable[LeftOut],
    used: Sequence[Sample] | None = None,
) -> PatternResult:
    """A result; ``used`` are all pairs if not given."""
    used = evidence.paired() if used is None else used
    notes = []
    if evidence.samples.indicative:
        notes.append(
            "No cell has enough runs for its own interval: this is inferred only from "
            "the differences between networks."
            if estimate is not None and estimate.bounded
            else f"No cell has the {MIN_RUNS} runs that count which an interval needs: values "
            "are indications, and nothing is decided."
        )
    return PatternResult(
        number=number,
        claim=CLAIMS[number - 1],
        verdict=verdict,
        effect=effect,
        estimate=estimate,
        sentence=sentence,
        used=tuple(cell.name for cell in used),
        left_out=tuple(dict.fromkeys((*evidence.samples.left_out, *left_out))),
        notes=tuple(notes),
    )


def undecided_result(
    number: int,
    effect: str,
    evidence: Evidence,
    why: str,
    left_out: Iterable[LeftOut] | None = None,
) -> PatternResult:
    """Undecided, as there is nothing to decide from."""
    others = evidence.alone if left_out is None else left_out
    sentence = f"Cannot be decided: {why}."
    return pattern_result(
        number, "undecided", effect, None, sentence, evidence, others, ()
    )


def opposite_note(against: int) -> str:
    """A note if single cells show the opposite of all together."""
    if not against:
        return ""
    return f"; but {against} by itself shows the opposite, so it depends on the network"


def negligible_note(verdict: Verdict, ratio: Estimate, evidence: Evidence) -> str:
    """A note if undecided means that there is no difference that matters."""
    if verdict == "undecided" and negligible(ratio, evidence.margin):
        return f"; a difference below {100 * evidence.margin:.3g} %"
    return ""
