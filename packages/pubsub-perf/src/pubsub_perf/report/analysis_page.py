"""Writes the analysis of a folder: ``analysis.json``, ``.md`` and ``.html``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pubsub_common.errors import ConfigError
from pubsub_common.files import reason_of, write_atomically
from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_perf import __version__, units
from pubsub_perf.analysis import Analysis, analyse, to_json
from pubsub_perf.analysis.values import wording
from pubsub_perf.report import scenario_pages
from pubsub_perf.report.findings import Findings, findings_of
from pubsub_perf.report.rendering import render
from pubsub_perf.results.cells import Dataset
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.scenarios import NO_SCENARIO, scenarios
from pubsub_perf.results.table_source import TableSource


@dataclasses.dataclass(frozen=True, slots=True)
class WrittenAnalysis:
    """An ``analysis`` and its written ``files``."""

    analysis: Analysis
    findings: Findings
    files: tuple[Path, ...]


def write_analyses(
    folder: Path,
    out: Path | None = None,
    *,
    seed: int = 1,
    source: TableSource | None = None,
) -> tuple[WrittenAnalysis, ...]:
    """Analyse ``folder`` and write the files into ``out``, by default the folder; with several
    scenarios, each into a folder below ``scenarios``, and a page with links to them. ``source``
    describes tables without clear headers.

    Raises:
        ConfigError: there is nothing to analyse, or ``out`` cannot be written.
    """
    dataset = read_dataset(folder, "analyse", source)
    out = folder if out is None else out
    try:
        return tuple(_write_all(dataset, out, seed))
    except OSError as error:
        raise ConfigError(
            f"cannot write the analysis to {out}: {reason_of(error)}"
        ) from error


def _write_all(dataset: Dataset, out: Path, seed: int) -> Iterator[WrittenAnalysis]:
    parts = scenarios(dataset)
    if len(parts) == 1:
        yield write(analyse(dataset, seed=seed), out)
        return
    pages = []
    for part, stem in zip(parts, scenario_pages.stems(parts), strict=True):
        folder = scenario_pages.folder_of(out, stem)
        written = write(analyse(part, seed=seed), folder)
        name = printable(part.scenario or NO_SCENARIO)
        pages.append(
            scenario_pages.ScenarioPage(name, stem, len(part.cells), written.findings)
        )
        if len(pages) == len(parts):
            more = scenario_pages.write_overview("analysis", dataset.title, pages, out)
            written = dataclasses.replace(written, files=(*written.files, *more))
        yield written


def write(analysis: Analysis, out: Path) -> WrittenAnalysis:
    """Write the files of one analysis into ``out``."""
    findings = findings_of(analysis)
    variables = {
        "title": analysis.title,
        "summary": _summary(analysis),
        "findings": findings,
        "services": tuple(services(analysis)),
        "problems": analysis.problems,
        "version": __version__,
    }
    made = {"analysis.json": to_json(analysis).encode("utf-8", "replace")}
    made |= render(("analysis.md", "analysis.html"), variables)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        write_atomically(out / name, content, follow_link=False)
    return WrittenAnalysis(analysis, findings, tuple(out / name for name in made))


def _summary(analysis: Analysis) -> str:
    judged = sum(cell.counted for cell in analysis.cells)
    runs = sum(len(cell.runs) for cell in analysis.cells)
    text = (
        f"{counted(len(analysis.cells), 'cell')} of "
        f"{counted(runs, 'run')} in all, {judged} counted."
    )
    lossy = sum(bool(cell.lost) for cell in analysis.cells)
    if lossy:
        text += f" In {counted(lossy, 'cell')} events were lost."
    return text


def services(analysis: Analysis) -> Iterator[str]:
    """The cost of an event for the broker, as sentences."""
    view = analysis.queueing
    if view.per_event_s is not None and view.per_delivery_s is not None:
        yield (
            f"Processor time of the broker: {wording.seconds(view.per_event_s)} for an "
            f"event and {wording.seconds(view.per_delivery_s)} for each delivery."
        )
    if view.background is not None:
        share = wording.percent(view.background.value)
        yield f"Without any event the broker uses {share} of a processor."
    if view.bytes_per_delivery is not None:
        yield f"Each delivery takes {view.bytes_per_delivery:,.0f} bytes on its link."
    if view.fixed_s:
        yield f"Outside the broker's queues an event takes {units.duration(view.fixed_s)}."
    if view.full_at_hosts is not None:
        yield f"At this rate the broker is full with {view.full_at_hosts:,} hosts."
