"""Finds the cells of an experiment that break their thresholds, from their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from pubsub_common.defaults import MIN_COUNT_P99, MIN_COUNT_P999
from pubsub_common.errors import ConfigError
from pubsub_common.text.counted import counted
from pubsub_perf.experiment.sweep import cell_folder
from pubsub_perf.plan.cases import Case
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.thresholds import COUNTS, LATENCIES, UNITS
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cells import Cell
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of

_NEEDED: Final[Mapping[str, int]] = {"p99": MIN_COUNT_P99, "p999": MIN_COUNT_P999}


def broken_thresholds(experiment: Experiment, out: Path) -> list[str]:
    """A line for each threshold that a cell of ``out`` breaks. A cell is all its runs together,
    without warm-up; a cell without a successful run breaks all its thresholds.
    """
    asked = dict.fromkeys(replace(case, run=1) for case in experiment.cases)
    if not any(map(experiment.thresholds_of, asked)):
        return []
    there = {cell.folder.resolve(): cell for cell in _cells_in(out)}
    return [
        f"{case.name}: {line}"
        for case in asked
        for line in _broken(
            experiment, case, there.get(cell_folder(out, case).resolve())
        )
    ]


def _cells_in(out: Path) -> tuple[Cell, ...]:
    """The cells, or None if every cell failed before it had a file."""
    try:
        return read_dataset(out, "check").cells
    except ConfigError:
        return ()


def figures_of(cell: Cell) -> dict[str, float | None]:
    """The figures for thresholds by name; None: unknown."""
    summary = summary_of(cell)
    statistics = asdict(summary.statistics)
    found: dict[str, float | None] = {}
    for name in LATENCIES:
        value_s = statistics[f"{name}_s"]
        for unit, per_second in UNITS.items():
            found[f"{name}_{unit}"] = None if value_s is None else value_s * per_second
    found["lost"] = cell.lost
    if cell.lost is not None and cell.expected:
        found["lost_percent"] = 100 * cell.lost / cell.expected
    found["received"] = cell.received
    for name in ("duplicated", "reordered"):
        counts = [cell_fields.count(run.meta, name) for run in cell.pooled]
        known = [count for count in counts if count is not None]
        found[name] = sum(known) if len(known) == len(counts) else None
    return found


def _broken(experiment: Experiment, case: Case, cell: Cell | None) -> Iterator[str]:
    thresholds = experiment.thresholds_of(case)
    if not thresholds:
        return
    figures = {} if cell is None or cell.failed else figures_of(cell)
    for threshold in thresholds:
        if why := threshold.broken_by(figures):
            reason = _reason(cell, threshold.name, figures.get(threshold.name))
            yield f"{why} ({reason})" if reason else why


def _reason(cell: Cell | None, name: str, value: float | None) -> str:
    """The reason of an unknown figure, or a possible cause of its value; empty if there is
    none."""
    if cell is None or cell.failed:
        return "the cell has no successful run"
    if value is not None:
        if cell.degraded:
            return f"the machine was {cell.fidelity}: {cell.fidelity_reason}"
        return ""
    count = summary_of(cell).statistics.count
    needed = _NEEDED.get(name.partition("_")[0], 1)
    if name not in COUNTS and count < needed:
        return (
            f"the cell has {counted(count, 'event', grouped=True)}; it needs {needed:,}"
        )
    return ""
