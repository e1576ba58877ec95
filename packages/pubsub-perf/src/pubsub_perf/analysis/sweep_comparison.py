"""Compares two sweeps cell by cell: did a change make it slower?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.analysis.cell_samples import (
    CellFacts,
    but_for_the_system,
    cell_facts,
    is_secure,
)
from pubsub_perf.analysis.patterns import model_pairs
from pubsub_perf.analysis.stats.bootstrap import LEVEL, Resampling
from pubsub_perf.analysis.stats.verdicts import MARGIN, negligible, of_ratio
from pubsub_perf.analysis.values.estimate import MIN_RUNS, Estimate
from pubsub_perf.analysis.values.results import LeftOut
from pubsub_perf.analysis.values.samples import Sample
from pubsub_perf.results.cell_fields import brokers_of
from pubsub_perf.results.cells import Dataset

Change = Literal["slower", "faster", "same", "undecided"]
Floats = NDArray[np.float64]
PLAIN: Final = "plain"
SECURE: Final = "secure"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One cell in both sweeps. Ratios are B over A; above 1, B is slower."""

    cell: str
    hosts: int | None
    runs_a: int
    runs_b: int
    p50: Estimate
    p99: Estimate | None
    change: Change


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """``tests``: how many intervals were corrected for each other. ``kinds``: whether the
    cells of A, and those of B, are secure."""

    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]
    margin: float
    tests: int
    kinds: tuple[str, str] = (PLAIN, PLAIN)

    @property
    def slower(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.change == "slower")

    @property
    def decidable(self) -> bool:
        """Whether any cell has runs enough for an interval."""
        return any(row.p50.bounded for row in self.rows)


def compare_sweeps(
    before: Dataset,
    after: Dataset,
    *,
    margin: float = MARGIN,
    seed: int = 1,
    resamples: int = 2000,
) -> Comparison:
    """Compare the medians and p99 of all cells that both sweeps have."""
    resampling = Resampling(seed, resamples)
    first = {fact.result.name: fact for fact in _facts(before, resampling)}
    second = {fact.result.name: fact for fact in _facts(after, resampling)}
    matched: list[tuple[Sample, Sample]] = []
    left_out: list[LeftOut] = []
    for name in dict.fromkeys((*first, *second)):
        found = _match(name, first.get(name), second.get(name))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            matched.append(found)
    tests = sum(_tests(a, b) for a, b in matched)
    level = model_pairs.simultaneous(tests)
    rows = tuple(_row(a, b, resampling, level, margin) for a, b in matched)
    kinds = kind_of(before), kind_of(after)
    return Comparison(rows, tuple(left_out), margin, tests, kinds)


def kind_of(dataset: Dataset) -> str:
    """Plain, secure, or both: whether roles had keys; and how many brokers, if several. That is
    not a part of the load here: what security costs, or a group changes, is a question that
    two sweeps can answer."""
    found = {is_secure(cell) for cell in dataset.cells}
    kind = SECURE if True in found else PLAIN
    if len(found) > 1:
        kind = f"{PLAIN} and {SECURE}"
    brokers = sorted({brokers_of(cell.meta) for cell in dataset.cells})
    if brokers in ([], [1]):
        return kind
    return f"{kind} with {' or '.join(map(str, brokers))} brokers"


def _facts(dataset: Dataset, resampling: Resampling) -> list[CellFacts]:
    return [cell_facts(cell, resampling) for cell in dataset.cells]


def _match(
    name: str, first: CellFacts | None, second: CellFacts | None
) -> tuple[Sample, Sample] | LeftOut:
    if first is None or second is None:
        return LeftOut(name, f"only in {'B' if first is None else 'A'}")
    if first.sample is None or second.sample is None:
        which = "A" if first.sample is None else "B"
        why = first.result.why_not or second.result.why_not
        return LeftOut(name, f"{which}: {why}")
    loads = first.sample.load, second.sample.load
    if len(set(map(but_for_the_system, loads))) > 1:
        return LeftOut(name, f"the loads differ: {'; '.join(loads)}")
    return first.sample, second.sample


def _tests(first: Sample, second: Sample) -> int:
    if min(first.runs, second.runs) < MIN_RUNS:
        return 0
    return 1 if first.tail99 is None or second.tail99 is None else 2


def _row(
    first: Sample, second: Sample, resampling: Resampling, level: float, margin: float
) -> Row:
    p50 = _ratio(first.medians, second.medians, resampling, f"p50/{first.name}", level)
    p99 = None
    if first.tail99 is not None and second.tail99 is not None:
        p99 = _ratio(
            first.tail99 * first.medians,
            second.tail99 * second.medians,
            resampling,
            f"p99/{first.name}",
            level,
        )
    known = [estimate for estimate in (p50, p99) if estimate is not None]
    change = _change(known, margin)
    return Row(first.name, first.hosts, first.runs, second.runs, p50, p99, change)


def _ratio(
    first: Floats,
    second: Floats,
    resampling: Resampling,
    key: str,
    level: float = LEVEL,
) -> Estimate:
    return model_pairs.mean_ratio(
        [(np.log(second), np.log(first))], resampling, key, level
    )


def _change(ratios: Sequence[Estimate], margin: float) -> Change:
    if any(ratio.low is not None and ratio.low > 1 + margin for ratio in ratios):
        return "slower"
    if any(of_ratio(ratio, margin) == "contradicted" for ratio in ratios):
        return "faster"
    if all(negligible(ratio, margin) for ratio in ratios):
        return "same"
    return "undecided"
