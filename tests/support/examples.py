"""Recomputes the example sweeps under ``docs/examples``.

Their events are not in the repository, but the results of each run are: in
``analysis.json``. So ``PYTHONPATH=tests .venv/bin/python -m support.examples`` decides
them by the current rules, and writes the analysis and the two figures that show it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pubsub_perf.analysis import Analysis
from pubsub_perf.analysis.analyse import methods
from pubsub_perf.analysis.growth.series import growth_results
from pubsub_perf.analysis.patterns.decide import decide
from pubsub_perf.analysis.patterns.evidence import Evidence
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.values.estimate import CurvePoint, Estimate
from pubsub_perf.analysis.values.queueing import (
    Extrapolation,
    QueueingView,
    QueuePoint,
)
from pubsub_perf.analysis.values.results import CellResult, LeftOut, RunResult
from pubsub_perf.analysis.values.samples import (
    RunFigures,
    Sample,
    make_sample,
    select,
)
from pubsub_perf.plots.output import save
from pubsub_perf.plots.residuals import residual_figure
from pubsub_perf.plots.scaling import scaling_figure
from pubsub_perf.report.analysis_page import write
from support.paths import DOCS

EXAMPLES = sorted(path.parent for path in DOCS.glob("examples/*/analysis.json"))


def decided_anew(folder: Path) -> Analysis:
    """The example's analysis from its runs; cells and the broker's queue are unchanged."""
    was = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    cells = tuple(map(_cell, was["cells"]))
    samples = select(
        [_sample(cell) for cell in cells if cell.counted],
        [LeftOut(c.name, c.why_not) for c in cells if c.why_not is not None],
    )
    evidence = Evidence.of(samples, was["margin"])
    growth = growth_results(samples)
    return Analysis(
        title=was["title"],
        seed=was["seed"],
        resamples=was["resamples"],
        margin=was["margin"],
        cells=cells,
        pairs=tuple(evidence.compared),
        patterns=decide(evidence, growth),
        growth=tuple(growth),
        queueing=_queueing(was["queueing"]),
        methods=methods(Resampling(was["seed"], was["resamples"]), was["margin"]),
        problems=tuple(was["problems"]),
    )


def _cell(was: dict[str, Any]) -> CellResult:
    estimates = {
        name: None if was[name] is None else Estimate(**was[name])
        for name in ("p50_s", "p99_s", "p999_s")
    }
    runs = tuple(RunResult(**run) for run in was["runs"])
    more = {"runs": runs, "notes": tuple(was["notes"]), "backlog": None}
    return CellResult(**(was | estimates | more))


def _sample(cell: CellResult) -> Sample:
    runs = [run for run in cell.runs if run.why_not is None]
    return make_sample(
        cell.model,
        cell.network,
        cell.kind,
        cell.hosts,
        cell.load,
        [
            RunFigures(run.p50_s or 0.0, run.p99_s, run.p999_s, run.mean_s or 0.0)
            for run in runs
        ],
        [run.number for run in runs],
    )


def _queueing(was: dict[str, Any]) -> QueueingView:
    made: dict[str, Any] = {}
    for field in dataclasses.fields(QueueingView):
        value = was[field.name]
        if isinstance(value, list):
            kind = {
                "points": QueuePoint,
                "curve": CurvePoint,
                "curve_periodic": CurvePoint,
                "extrapolations": Extrapolation,
            }.get(field.name)
            value = tuple(value if kind is None else (kind(**item) for item in value))
        elif isinstance(value, dict):
            value = Estimate(**value)
        made[field.name] = value
    return QueueingView(**made)


def main() -> None:
    """Write the analyses and their figures again."""
    for folder in EXAMPLES:
        analysis = decided_anew(folder)
        load = "40 events of 200 B per publisher, one every 0.1 s"
        if "Mbit/s" in analysis.cells[0].load:
            load += ", 5 Mbit/s"
        write(analysis, folder)
        (folder / "analysis.html").unlink()
        for name, drawing in (
            ("hosts", scaling_figure(analysis, load)),
            ("residuals", residual_figure(analysis)),
        ):
            assert drawing is not None
            save(drawing, folder / name)
            (folder / f"{name}.svg").unlink()


if __name__ == "__main__":
    main()
