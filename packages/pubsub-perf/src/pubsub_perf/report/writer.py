"""Writes the report of a sweep folder: figures, Markdown and one HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pubsub_common.errors import ConfigError
from pubsub_common.files import reason_of, write_atomically
from pubsub_common.text.printable import printable
from pubsub_perf import __version__, analysis
from pubsub_perf.folder_files import make_folder
from pubsub_perf.report import scenario_pages
from pubsub_perf.report.content import ReportContent, compose
from pubsub_perf.report.figures import IN_TURN, FigureWriting, write_figures
from pubsub_perf.report.findings import find
from pubsub_perf.report.rendering import render
from pubsub_perf.results.cells import Dataset
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.scenarios import NO_SCENARIO, scenarios
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.table_source import TableSource


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The written ``files`` of a report, and ``warnings`` for its reader."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...]


def write_report(
    folder: Path,
    out: Path | None = None,
    *,
    seed: int = 1,
    source: TableSource | None = None,
    writing: FigureWriting = IN_TURN,
) -> Report:
    """Write ``plots/``, ``report.md`` and ``report.html`` into ``out``, by default
    the folder itself; with several scenarios, each into a folder below ``scenarios``, and a report
    with links to them. ``seed`` is for the analysis; ``source`` describes tables without
    clear headers; ``writing`` draws the figures.

    Raises:
        ConfigError: there is nothing to plot, or ``out`` cannot be written.
        PubSubError: a process that draws was killed.
    """
    dataset = read_dataset(folder, source=source)
    out = folder if out is None else out
    try:
        return _write_all(dataset, out, seed, writing)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {out}: {reason_of(error)}"
        ) from error


def _write_all(
    dataset: Dataset, out: Path, seed: int, writing: FigureWriting
) -> Report:
    parts = scenarios(dataset)
    if len(parts) == 1:
        return _write(dataset, out, seed, writing)[0]
    files: list[Path] = []
    warnings: list[str] = []
    pages = []
    for part, stem in zip(parts, scenario_pages.stems(parts), strict=True):
        folder = scenario_pages.folder_of(out, stem)
        report, page = _write(part, folder, seed, writing)
        name = printable(part.scenario or NO_SCENARIO)
        warnings += [f"{name}: {warning}" for warning in report.warnings]
        files += report.files
        pages.append(dataclasses.replace(page, name=name, stem=stem))
    files += scenario_pages.write_overview("report", dataset.title, pages, out)
    return Report(tuple(files), tuple(warnings))


def _write(
    dataset: Dataset, out: Path, seed: int, writing: FigureWriting
) -> tuple[Report, scenario_pages.ScenarioPage]:
    cells = [summary_of(cell) for cell in dataset.cells]
    found = analysis.analyse(dataset, seed=seed)
    make_folder(out, "plots")
    figures = write_figures(cells, found, out, writing)
    content = compose(cells, [*dataset.problems, *figures.problems])
    findings = find(found)
    variables = {
        "title": dataset.title,
        "content": content,
        "findings": findings,
        "overall": figures.overall,
        "sections": figures.sections,
        "version": __version__,
    }
    files = [out / name for name in figures.written]
    for name, made in render(("report.md", "report.html"), variables).items():
        write_atomically(out / name, made, follow_link=False)
        files.append(out / name)
    page = scenario_pages.ScenarioPage("", "", len(cells), findings, cells)
    return Report(tuple(files), tuple(_warnings(content))), page


def _warnings(content: ReportContent) -> Iterator[str]:
    for name, reason in content.failures:
        yield f"{name} failed: {reason}"
    yield from content.advice
    yield from content.problems
