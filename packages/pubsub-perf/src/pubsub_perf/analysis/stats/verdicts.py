"""Turns intervals into verdicts.

Every effect is a ratio that is above 1 where a claim is true. A claim is supported when
the whole interval lies above 1, contradicted when the whole interval lies below
1 / (1 + margin), and undecided otherwise: an opposite effect must be of a size that
matters, and no effect at all is not a contradiction (the sentence says so).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_perf.analysis.values.results import Estimate, Verdict

MARGIN: Final = 0.05
# Of the intervals that verdicts rest on. At 95 % five verdicts in a hundred would be wrong
# where there is no effect: as many as are to be the most in any hundred.
DECIDING: Final = 0.98
SIGNIFICANT: Final = 0.05


def of_ratio(ratio: Estimate, margin: float = MARGIN) -> Verdict:
    """The verdict on a claim that ``ratio`` is above 1."""
    if ratio.low is None or ratio.high is None:
        return "undecided"
    if ratio.low > 1:
        return "supported"
    return "contradicted" if ratio.high < 1 / (1 + margin) else "undecided"


def negligible(ratio: Estimate, margin: float = MARGIN) -> bool:
    """Whether the interval holds nothing of a size that matters."""
    if ratio.low is None or ratio.high is None:
        return False
    return 1 / (1 + margin) <= ratio.low and ratio.high <= 1 + margin


def contrary(verdict: Verdict, ratios: Iterable[Estimate], margin: float) -> int:
    """How many single ``ratios`` show an effect that matters, against ``verdict``."""
    if verdict == "supported":
        return sum(of_ratio(ratio, margin) == "contradicted" for ratio in ratios)
    if verdict == "contradicted":
        return sum(r.low is not None and r.low > 1 + margin for r in ratios)
    return 0


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim that says several things at once."""
    if "contradicted" in verdicts:
        return "contradicted"
    if verdicts and set(verdicts) == {"supported"}:
        return "supported"
    return "undecided"


def any_of(verdicts: Sequence[Verdict]) -> Verdict:
    """A claim that several measures can show, each at a level that holds for all."""
    if {"supported", "contradicted"} <= set(verdicts):
        return "undecided"
    for verdict in ("supported", "contradicted"):
        if verdict in verdicts:
            return "supported" if verdict == "supported" else "contradicted"
    return "undecided"
