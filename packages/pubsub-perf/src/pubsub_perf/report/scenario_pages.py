"""The page of a folder with several scenarios: the verdicts of each, and links to its page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.files import write_atomically
from pubsub_common.text.counted import counted
from pubsub_perf import __version__, units
from pubsub_perf.folder_files import make_folder
from pubsub_perf.report.findings import Findings
from pubsub_perf.report.rendering import render
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import Dataset
from pubsub_perf.units import Unit

FOLDER: Final = "scenarios"
_MAX_STEM: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class ScenarioPage:
    """A scenario in the overview: ``stem`` is the name of its folder. ``findings``: None where
    there are no two models. ``results``: those of its cells, for a report."""

    name: str
    stem: str
    cells: int
    findings: Findings | None
    results: Sequence[CellSummary] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """A cell in the table of results, as text."""

    network: str
    model: str
    scenario: str
    p50: str
    p99: str
    lost: str
    outcome: str
    degraded: bool


def stems(datasets: Sequence[Dataset]) -> list[str]:
    """Names of folders for scenarios, all different."""
    found: list[str] = []
    for dataset in datasets:
        base = re.sub(r"[^A-Za-z0-9.-]+", "_", dataset.scenario)[:_MAX_STEM].strip(
            "._-"
        )
        stem, number = base or "scenario", 1
        while stem.lower() in (other.lower() for other in found):
            number += 1
            stem = f"{base}_{number}"
        found.append(stem)
    return found


def folder_of(out: Path, stem: str) -> Path:
    """Where the page of a scenario goes.

    Raises:
        OSError: it cannot be made.
    """
    return make_folder(out, FOLDER, stem)


def write_overview(
    kind: str, title: str, pages: Sequence[ScenarioPage], out: Path
) -> list[Path]:
    """Write ``<kind>.md`` and ``<kind>.html`` into ``out``, which lead to the files of the same
    names of each scenario.

    Raises:
        OSError: they cannot be written.
    """
    cells = sum(page.cells for page in pages)
    medians = [cell.statistics.p50_s for page in pages for cell in page.results]
    unit = units.unit_for(median for median in medians if median is not None)
    variables = {
        "kind": kind,
        "title": title,
        "summary": f"{counted(cells, 'cell')} in "
        f"{counted(len(pages), 'scenario')}. "
        "The cells of a scenario differ only in model, network and run, so each scenario is "
        "analysed by itself.",
        "folder": FOLDER,
        "pages": pages,
        "unit": unit.name,
        "rows": tuple(_rows(pages, unit)),
        "patterns": next((p.findings.patterns for p in pages if p.findings), ()),
        "version": __version__,
    }
    written = []
    for name, made in render(("scenarios.md", "scenarios.html"), variables).items():
        path = out / f"{kind}{Path(name).suffix}"
        write_atomically(path, made, follow_link=False)
        written.append(path)
    return written


def _rows(pages: Sequence[ScenarioPage], unit: Unit) -> Iterator[_Row]:
    """By network and model, so that the scenarios of a cell stand below each other."""
    places: dict[tuple[str, str], list[tuple[CellSummary, str]]] = {}
    for page in pages:
        for summary in page.results:
            key = summary.cell.network, summary.cell.model
            places.setdefault(key, []).append((summary, page.name))
    ordered = sorted(places, key=lambda key: (places[key][0][0].cell.hosts or 0, *key))
    for network, model in ordered:
        for summary, name in places[network, model]:
            cell, statistics = summary.cell, summary.statistics
            yield _Row(
                network=network,
                model=model,
                scenario=name,
                p50=_latency(statistics.p50_s, unit),
                p99=_latency(statistics.p99_s, unit),
                lost=units.NOT_AVAILABLE if cell.lost is None else f"{cell.lost:,}",
                outcome=f"{cell.outcome}, {cell.fidelity}"
                if cell.degraded
                else cell.outcome,
                degraded=cell.degraded or cell.failed,
            )


def _latency(value_s: float | None, unit: Unit) -> str:
    return units.NOT_AVAILABLE if value_s is None else unit.show(value_s)
