"""Compares two sweeps: did a change make it slower, in all cells together, and in which?

All cells together are one pooled estimate. Single cells are tested against the margin, and
called slower or faster at a false discovery rate (Benjamini and Hochberg 1995): of the cells
so called no more than `DISCOVERY` are expected to be called so wrongly.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf.analysis.cell_samples import (
    CellFacts,
    but_for_the_system,
    cell_facts,
    is_secure,
)
from pubsub_perf.analysis.patterns import model_pairs, rounds
from pubsub_perf.analysis.pooled_change import Rounds, change_of, pooled_change
from pubsub_perf.analysis.stats.bootstrap import Resampling, exponential
from pubsub_perf.analysis.stats.student import Student
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
# The false discovery rate of single cells.
DISCOVERY: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One cell in both sweeps. Ratios are B over A, each with its own 95 % interval; above
    1, B is slower. ``q``: the smallest false discovery rate at which the cell is called
    slower or faster; None where it has too few runs."""

    cell: str
    hosts: int | None
    runs_a: int
    runs_b: int
    p50: Estimate
    p99: Estimate | None
    q: float | None
    change: Change


@dataclasses.dataclass(frozen=True, slots=True)
class Pooled:
    """All cells with runs enough together: the geometric means of their ratios, at levels
    that hold for both."""

    cells: int
    p50: Estimate
    p99: Estimate | None
    change: Change


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """``pooled``: None where no cell has runs enough. ``kinds``: whether the cells of A,
    and those of B, are secure."""

    rows: tuple[Row, ...]
    pooled: Pooled | None
    left_out: tuple[LeftOut, ...]
    margin: float
    kinds: tuple[str, str] = (PLAIN, PLAIN)

    @property
    def slower(self) -> tuple[Row, ...]:
        """The cells that got slower."""
        return tuple(row for row in self.rows if row.change == "slower")

    @property
    def got_slower(self) -> bool:
        """Whether all cells together did, or any of them."""
        return bool(self.slower) or (
            self.pooled is not None and self.pooled.change == "slower"
        )

    @property
    def decidable(self) -> bool:
        """Whether any cell has runs enough for an interval."""
        return self.pooled is not None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Matched:
    """A cell in both sweeps: its changes of p50 and of p99, as logarithms."""

    first: Sample
    second: Sample
    p50: tuple[Rounds, Rounds]
    p99: tuple[Rounds, Rounds] | None

    @property
    def enough(self) -> bool:
        return min(self.first.runs, self.second.runs) >= MIN_RUNS

    @property
    def changes(self) -> list[Student]:
        return [change_of(*each) for each in (self.p50, self.p99) if each is not None]


def compare_sweeps(
    before: Dataset,
    after: Dataset,
    *,
    margin: float = MARGIN,
    seed: int = 1,
) -> Comparison:
    """Compare the medians and p99 of all cells that both sweeps have."""
    resampling = Resampling(seed)
    first = {fact.result.name: fact for fact in _facts(before, resampling)}
    second = {fact.result.name: fact for fact in _facts(after, resampling)}
    both: list[tuple[Sample, Sample]] = []
    left_out: list[LeftOut] = []
    for name in dict.fromkeys((*first, *second)):
        found = _match(name, first.get(name), second.get(name))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            both.append(found)
    return dataclasses.replace(
        compare_cells(both, margin),
        left_out=tuple(left_out),
        kinds=(kind_of(before), kind_of(after)),
    )


def compare_cells(
    cells: Sequence[tuple[Sample, Sample]], margin: float = MARGIN
) -> Comparison:
    """Compare cells with themselves in another sweep."""
    matched = [_matched(first, second) for first, second in cells]
    enough = [cell for cell in matched if cell.enough]
    return Comparison(
        tuple(_rows(matched, margin)), _pooled(enough, margin), (), margin
    )


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
        which = "B" if first is None else "A"
        return LeftOut(name, f"only in {which}")
    if first.sample is None or second.sample is None:
        which = "A" if first.sample is None else "B"
        why = first.result.why_not or second.result.why_not
        return LeftOut(name, f"{which}: {why}")
    loads = first.sample.load, second.sample.load
    if len(set(map(but_for_the_system, loads))) > 1:
        return LeftOut(name, f"the loads differ: {'; '.join(loads)}")
    return first.sample, second.sample


def _matched(first: Sample, second: Sample) -> _Matched:
    p50 = [rounds.by_round(cell, model_pairs.medians_of) for cell in (first, second)]
    p99 = [rounds.by_round(cell, _p99_of) for cell in (first, second)]
    return _Matched(
        first, second, (p50[0], p50[1]), (p99[0], p99[1]) if all(p99) else None
    )


def _p99_of(cell: Sample) -> Floats | None:
    return None if cell.tail99 is None else cell.tail99 * cell.medians


def _rows(matched: Sequence[_Matched], margin: float) -> Iterator[Row]:
    changes = [cell.changes for cell in matched]
    tested = [cell.enough for cell in matched]
    bound = math.log1p(margin)
    p_values = [
        min(1.0, 2 * min(change.p_above(bound), change.p_below(-bound)))
        for enough, found in zip(tested, changes, strict=True)
        if enough
        for change in found
    ]
    adjusted = iter(stats.false_discovery_control(p_values) if p_values else ())
    for cell, found, enough in zip(matched, changes, tested, strict=True):
        q_values = [float(next(adjusted)) for _ in found] if enough else None
        ratios = [exponential(change.at()) for change in found]
        yield Row(
            cell.first.name,
            cell.first.hosts,
            cell.first.runs,
            cell.second.runs,
            ratios[0],
            ratios[1] if len(ratios) > 1 else None,
            None if q_values is None else min(q_values),
            _change_of_cell(ratios, q_values, margin),
        )


def _change_of_cell(
    ratios: Sequence[Estimate], q_values: Sequence[float] | None, margin: float
) -> Change:
    if q_values is None:
        return "undecided"
    found = [
        ratio.value
        for ratio, q_value in zip(ratios, q_values, strict=True)
        if q_value <= DISCOVERY
    ]
    if found:
        return "slower" if max(found) > 1 else "faster"
    return "same" if all(negligible(ratio, margin) for ratio in ratios) else "undecided"


def _pooled(cells: Sequence[_Matched], margin: float) -> Pooled | None:
    if not cells:
        return None
    tails = [cell.p99 for cell in cells if cell.p99 is not None]
    level = model_pairs.simultaneous(2 if tails else 1)
    p50 = exponential(pooled_change([cell.p50 for cell in cells]).at(level))
    p99 = exponential(pooled_change(tails).at(level)) if tails else None
    known = [estimate for estimate in (p50, p99) if estimate is not None]
    return Pooled(len(cells), p50, p99, _change(known, margin))


def _change(ratios: Sequence[Estimate], margin: float) -> Change:
    if any(ratio.low is not None and ratio.low > 1 + margin for ratio in ratios):
        return "slower"
    if any(of_ratio(ratio, margin) == "contradicted" for ratio in ratios):
        return "faster"
    if all(negligible(ratio, margin) for ratio in ratios):
        return "same"
    return "undecided"
