"""Writes the report of a sweep folder: figures, Markdown and one HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pubsub_common.errors import ConfigError
from pubsub_common.files import write_atomically
from pubsub_common.printable import printable
from pubsub_perf import __version__, analysis
from pubsub_perf.folder_files import make_folder
from pubsub_perf.report.content import ReportContent, compose
from pubsub_perf.report.figures import FigureWriter
from pubsub_perf.report.findings import find
from pubsub_perf.report.rendering import render
from pubsub_perf.results.cells import Dataset
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """``files``: what was written. ``warnings``: what its reader should know first."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...]


def write_report(folder: Path, out: Path | None = None, *, seed: int = 1) -> Report:
    """Write ``plots/``, ``report.md`` and ``report.html`` into ``out``, by default
    the folder itself. ``seed`` is the analysis's.

    Raises:
        ConfigError: there is nothing to plot, or ``out`` cannot be written.
    """
    dataset = read_dataset(folder)
    out = folder if out is None else out
    try:
        return _write(dataset, out, seed)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {out}: {error.strerror or error}"
        ) from error


def _write(dataset: Dataset, out: Path, seed: int) -> Report:
    cells = [summary_of(cell) for cell in dataset.cells]
    found = analysis.analyse(dataset, seed=seed)
    make_folder(out, "plots")
    figure_writer = FigureWriter(out)
    overall = figure_writer.of_sweep(cells, found)
    sections = tuple(figure_writer.by_network(cells))
    content = compose(cells, [*dataset.problems, *figure_writer.problems])
    variables = {
        "title": printable(dataset.folder.resolve().name),
        "content": content,
        "findings": find(found),
        "overall": overall,
        "sections": sections,
        "version": __version__,
    }
    files = figure_writer.files
    for name, made in render(("report.md", "report.html"), variables).items():
        write_atomically(out / name, made, follow_link=False)
        files.append(out / name)
    return Report(tuple(files), tuple(_warnings(content)))


def _warnings(content: ReportContent) -> Iterator[str]:
    for name, reason in content.failures:
        yield f"{name} failed: {reason}"
    for name, verdict in content.degraded:
        yield f"{name}: the machine was {verdict}"
    yield from content.problems
