"""What a report says of an analysis."""

from __future__ import annotations

import dataclasses
from typing import Any

from support.perf_analysis import SIZES, analysis

from pubsub_perf.analysis.values.results import (
    Estimate,
    GrowthResult,
    PairResult,
    QueueingView,
)
from pubsub_perf.report.finding_tables import Table
from pubsub_perf.report.findings import Findings, find


def found(**changes: Any) -> Findings:
    findings = find(analysis(**changes))
    assert findings is not None
    return findings


def table(findings: Findings, title: str) -> Table:
    return next(t for t in (*findings.tables, *findings.queue) if t.title == title)


def test_a_verdict_comes_with_its_sentence_effect_and_interval() -> None:
    first, *_ = found().patterns
    assert first.verdict == "supported"
    assert first.mark == "✓"
    assert first.sentence == "Sentence 1: the data say supported."
    assert first.effect.endswith(": 0.71 (0.65 to 0.78), 95 % interval")
    assert first.parts == ("tree: supported; ratio 0.7 (0.6 to 0.8)",)
    assert first.used == "2 cells: centralized/tree-8hosts, decentralized/tree-8hosts"
    assert first.left_out == ("centralized/tree-32hosts: machine saturated",)


def test_verdicts_differ_in_more_than_colour() -> None:
    marks = {finding.verdict: finding.mark for finding in found().patterns}
    assert set(marks) == {"supported", "contradicted", "undecided"}
    assert len(set(marks.values())) == 3


def test_an_effect_without_interval_says_so() -> None:
    assert found().patterns[4].effect.endswith(": n/a")
    first = dataclasses.replace(analysis().patterns[0], estimate=Estimate(1.5))
    (only,) = found(patterns=(first,)).patterns
    assert only.effect.endswith(": 1.5 (no interval)")


def test_verdicts_on_cells_that_nobody_judged_come_with_a_caution() -> None:
    assert found().cautions == ()
    first, *others = analysis().cells
    unjudged = tuple(
        dataclasses.replace(run, fidelity=None, why_not=None) for run in first.runs
    )
    cells = (dataclasses.replace(first, runs=unjudged), *others)
    counted = sum(cell.counted for cell in cells)
    (said,) = found(cells=cells).cautions
    assert said.startswith(f"No fidelity record in 1 of {counted} cells: it is unknown")
    left_out = dataclasses.replace(first, runs=unjudged, why_not="failed")
    assert found(cells=(left_out, *others)).cautions == ()


def test_one_model_alone_has_no_verdicts() -> None:
    cells = tuple(c for c in analysis().cells if c.model == "centralized")
    assert find(analysis(cells=cells)) is None
    assert find(analysis(cells=())) is None


def test_cells_are_listed_with_intervals_in_one_unit() -> None:
    cells = table(found(), "Cells over their runs")
    assert len(cells.rows) == 2 * len(SIZES)
    names = [column.name for column in cells.columns]
    (median,) = (name for name in names if name.startswith("p50 ("))
    assert median in ("p50 (µs)", "p50 (ms)")
    for row in cells.rows:
        assert len(row) == len(cells.columns)
        assert " to " in row[names.index(median)]
    last = [row[-1] for row in cells.rows if row[-1]]
    assert last == ["machine strained"]


def test_shapes_and_pairs_are_listed() -> None:
    pair = PairResult(
        network="tree-8hosts",
        kind="tree",
        hosts=8,
        ratio=Estimate(1.5, 1.2, 1.9),
        shift_s=Estimate(2e-4, 1e-4, 3e-4),
        p_value=0.01,
        p_adjusted=0.02,
        cliffs_delta=0.8,
        tail_ratio=None,
    )
    bare = GrowthResult("centralized", "linear", (), note="1 sizes; a shape needs 6")
    findings = found(pairs=(pair,), growth=(*analysis().growth, bare))
    pairs = table(findings, "Centralized against direct, network by network")
    row = ("tree-8hosts", "8", "1.5 (1.2 to 1.9)", "200 (100 to 300)", "0.02", "0.80")
    assert pairs.rows == (row,)
    shapes = table(findings, "Shapes of growth")
    assert len(shapes.rows) == 10
    assert shapes.rows[0][2:] == (
        *("quadratic: a + b", "0.0", "1.000"),
        *("0 %", "fits, decided"),
    )
    growth = table(findings, "Growth with hosts")
    assert growth.rows[0][2:] == (
        *("4 to 32", "3.2", "1.5 (1.4 to 1.6)", "1.9 (1.6 to 2.2)"),
        *("quadratic", "0 %", "3.05 %"),
    )
    assert growth.rows[1][6] == "undecided (linear is ahead)"
    assert growth.notes == ("centralized on linear: 1 sizes; a shape needs 6.",)


def test_the_queue_comes_with_its_assumptions() -> None:
    findings = found()
    queue = table(findings, "The broker's queue, cell by cell")
    assert len(queue.rows) == len(SIZES)
    assert queue.rows[0][-1] == "prediction was fixed here"
    assert len(findings.extrapolations) == len(findings.assumptions) == 2


def test_what_is_missing_is_said_and_empty_tables_are_left_out() -> None:
    findings = found(queueing=QueueingView(missing=("No cell.json.",)), growth=())
    assert findings.missing == ("No cell.json.",)
    assert findings.queue == ()
    assert [t.title for t in findings.tables] == ["Cells over their runs"]
