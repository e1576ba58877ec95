"""Reads the events of a cell's first run with details, to show them over time."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import Run
from pubsub_perf.results.event_details_reader import Details, read_details
from pubsub_perf.results.warmup import steady


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The events of one run. ``warmup`` marks those kept out of statistics;
    ``of_runs`` is how many runs the cell has."""

    summary: CellSummary
    run: int
    of_runs: int
    details: Details
    warmup: NDArray[np.bool_]
    lost: int | None
    expected: int | None


def read_series(summary: CellSummary) -> tuple[Series | None, tuple[str, ...]]:
    """The first run of a cell with details, and the problems in details."""
    problems: list[str] = []
    for run in summary.cell.pooled:
        details, wrong = read_details(run.folder)
        name = f"{summary.cell.model}/{summary.cell.network}"
        where = f"{name}/run-{run.number}" if run.number > 1 else name
        problems += [f"{where}/{text}" for text in wrong]
        if details is not None:
            series = Series(
                summary=summary,
                run=run.number,
                of_runs=len(summary.cell.runs),
                details=details,
                warmup=_warmup(summary, run, details),
                lost=run.lost,
                expected=run.expected,
            )
            return series, tuple(problems)
    return None, tuple(problems)


def _warmup(summary: CellSummary, run: Run, details: Details) -> NDArray[np.bool_]:
    fixed = cell_fields.count(run.meta, "warmup", "events")
    if not summary.warmup:
        return np.zeros(len(details.sequence), dtype=np.bool_)
    if cell_fields.text(run.meta, "warmup", "rule") == "fixed" and fixed is not None:
        return np.asarray(details.sequence < fixed)
    return np.arange(len(details.sequence)) < steady(run).left_out
