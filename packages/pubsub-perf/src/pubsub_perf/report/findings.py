"""Verdicts and tables of an analysis, as text for a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import Analysis, Estimate, Part, PatternResult
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.report.finding_tables import (
    Table,
    group_table,
    growth_table,
    machine_table,
    pair_table,
    queue_table,
    run_table,
    shape_table,
)

MARKS: Final = {
    "supported": "\N{CHECK MARK}",
    "contradicted": "\N{MULTIPLICATION X}",
    "undecided": "?",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One of the five patterns, as text."""

    number: int
    claim: str
    verdict: str
    mark: str
    sentence: str
    effect: str
    parts: tuple[str, ...]
    used: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Findings:
    """``cautions`` are notes before the verdicts. ``missing`` are the missing parts of the
    queueing model."""

    cautions: tuple[str, ...]
    patterns: tuple[Finding, ...]
    tables: tuple[Table, ...]
    queue: tuple[Table, ...]
    extrapolations: tuple[str, ...]
    assumptions: tuple[str, ...]
    missing: tuple[str, ...]
    methods: tuple[str, ...]


def find(analysis: Analysis) -> Findings | None:
    """The findings, or None without two models to compare."""
    if not {cell.model for cell in analysis.cells} >= set(MODELS):
        return None
    return findings_of(analysis)


def findings_of(analysis: Analysis) -> Findings:
    """The findings, also with missing parts."""
    view = analysis.queueing
    return Findings(
        cautions=tuple(_cautions(analysis)),
        patterns=tuple(map(_finding, analysis.patterns)),
        tables=tuple(t for t in _tables(analysis) if t.rows),
        queue=tuple(t for t in (queue_table(analysis),) if t.rows),
        extrapolations=tuple(item.sentence for item in view.extrapolations),
        assumptions=view.assumptions,
        missing=view.missing,
        methods=analysis.methods,
    )


def _cautions(analysis: Analysis) -> Iterator[str]:
    """Cautions about counted cells."""
    judged = [cell for cell in analysis.cells if cell.counted]
    unjudged = sum(
        any(run.fidelity is None for run in cell.runs if run.why_not is None)
        for cell in judged
    )
    if unjudged:
        yield wording.unjudged(unjudged, len(judged))
    backlogs = sum(cell.backlog is not None for cell in judged)
    if backlogs:
        yield wording.unsteady(backlogs, len(judged))


def _finding(pattern: PatternResult) -> Finding:
    used = len(pattern.used)
    return Finding(
        number=pattern.number,
        claim=pattern.claim,
        verdict=pattern.verdict,
        mark=MARKS[pattern.verdict],
        sentence=pattern.sentence,
        effect=f"{pattern.effect}: {_effect(pattern.estimate)}",
        parts=tuple(map(_part, pattern.parts)),
        used=f"{counted(used, 'cell')}: {', '.join(pattern.used)}" if used else "none",
        left_out=tuple(
            printable(f"{item.cell}: {item.reason}") for item in pattern.left_out
        ),
        notes=pattern.notes,
    )


def _effect(estimate: Estimate | None) -> str:
    text = wording.ratio(estimate)
    if estimate is not None and estimate.bounded:
        text += f", {100 * estimate.level:g} % interval"
    return text


def _part(part: Part) -> str:
    verdict = f"{part.verdict}; " if part.verdict else ""
    note = f" ({part.note})" if part.note else ""
    return f"{part.name}: {verdict}{part.effect} {wording.ratio(part.estimate)}{note}"


def _tables(analysis: Analysis) -> Iterator[Table]:
    yield run_table(analysis.cells)
    yield pair_table(analysis)
    yield growth_table(analysis)
    yield shape_table(analysis)
    yield group_table(analysis)
    yield machine_table(analysis)
