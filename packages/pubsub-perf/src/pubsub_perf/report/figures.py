"""Draws the figures of a report, writes them as files, and makes them ready for the page."""

from __future__ import annotations

import base64
import dataclasses
import functools
import re
import struct
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from pubsub_perf.analysis.values.results import Analysis
from pubsub_perf.plots.output import Drawing, save
from pubsub_perf.plots.registry import (
    NETWORK_FIGURES,
    SWEEP_FIGURES,
    NetworkData,
    NetworkFigure,
    SweepData,
    SweepFigure,
)
from pubsub_perf.plots.style import DPI
from pubsub_perf.report.forked import in_processes
from pubsub_perf.report.svg_for_page import as_uri, for_page
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.timeseries import read_series

_MAX_STEM: Final = 100
# Larger figures are PNG on the page, because browsers draw them slowly.
_MAX_SVG: Final = 300_000


@dataclasses.dataclass(frozen=True, slots=True)
class ReportFigure:
    """One figure in the report. ``png`` and ``svg`` are relative to it; ``data`` is
    the figure itself, as a data URI; ``wide`` and ``high`` are in CSS pixels.
    ``themed``: it follows the page into the dark."""

    name: str
    png: str
    svg: str
    data: str
    description: str
    wide: int
    high: int
    themed: bool


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkSection:
    """The figures of one network."""

    network: str
    anchor: str
    figures: tuple[ReportFigure, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ReportFigures:
    """All figures of a report. ``problems`` are errors of reading."""

    overall: tuple[ReportFigure, ...]
    sections: tuple[NetworkSection, ...]
    problems: tuple[str, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """The names of all files, in the report's order."""
        every = [*self.overall, *(f for s in self.sections for f in s.figures)]
        return tuple(name for figure in every for name in (figure.png, figure.svg))


Made = tuple[ReportFigure | None, tuple[str, ...]]
"""A figure, unless there was nothing to show, and what could not be read for it."""


@dataclasses.dataclass(frozen=True, slots=True)
class FigureWriting:
    """Draws figures with this number of ``processes``. ``begin`` is called with the number of
    figures, and ``done`` after each."""

    processes: int = 1
    begin: Callable[[int], None] = lambda _count: None
    done: Callable[[], None] = lambda: None


IN_TURN: Final = FigureWriting()


def write_figures(
    cells: Sequence[CellSummary],
    analysis: Analysis,
    out: Path,
    writing: FigureWriting,
) -> ReportFigures:
    """Draw everything into ``out / plots``.

    Raises:
        OSError: a file could not be written.
        PubSubError: a process was killed.
    """
    data = SweepData(cells, analysis)
    jobs: list[Callable[[], Made]] = [
        functools.partial(_of_sweep, figure, data, out) for figure in SWEEP_FIGURES
    ]
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for network, group in groupby(cells, key=lambda summary: summary.cell.network):
        stems[network] = _stem(network, taken)
        of_network = list(group)
        jobs += [
            functools.partial(_of_network, figure, of_network, stems[network], out)
            for figure in NETWORK_FIGURES
        ]
    writing.begin(len(jobs))
    made = in_processes(jobs, writing.processes, writing.done)
    figures = [figure for figure, _ in made]
    first, each = len(SWEEP_FIGURES), len(NETWORK_FIGURES)
    return ReportFigures(
        tuple(filter(None, figures[:first])),
        tuple(
            NetworkSection(network, stem, tuple(filter(None, figures[at : at + each])))
            for at, (network, stem) in zip(
                range(first, len(figures), each), stems.items(), strict=True
            )
        ),
        tuple(problem for _, problems in made for problem in problems),
    )


def _of_sweep(figure: SweepFigure, data: SweepData, out: Path) -> Made:
    return _write(figure.draw(data), figure.name, out), ()


def _of_network(
    figure: NetworkFigure, cells: Sequence[CellSummary], stem: str, out: Path
) -> Made:
    series = []
    problems: list[str] = []
    for summary in cells if figure.of_events else ():
        one, wrong = read_series(summary)
        problems += wrong
        series += [one] if one is not None else []
    drawing = figure.draw(NetworkData(cells, series))
    return _write(drawing, f"{stem}-{figure.name}", out), tuple(problems)


def _write(drawing: Drawing | None, name: str, out: Path) -> ReportFigure | None:
    if drawing is None:
        return None
    png, svg = save(drawing, out / "plots" / name)
    small = for_page(svg.read_bytes())
    themed = len(small) <= _MAX_SVG
    pixels = png.read_bytes()
    wide, high = _size(pixels)
    return ReportFigure(
        name=name,
        png=png.relative_to(out).as_posix(),
        svg=svg.relative_to(out).as_posix(),
        data=as_uri(small)
        if themed
        else f"data:image/png;base64,{base64.b64encode(pixels).decode()}",
        description=drawing.description,
        wide=wide,
        high=high,
        themed=themed,
    )


def _size(png: bytes) -> tuple[int, int]:
    """In CSS pixels, of which there are 96 an inch."""
    wide, high = struct.unpack(">II", png[16:24])
    return round(wide * 96 / DPI), round(high * 96 / DPI)


def _stem(network: str, taken: set[str]) -> str:
    """A file name for a network, other than those taken; adds it to them."""
    base = (
        re.sub(r"[^A-Za-z0-9.-]+", "_", network)[:_MAX_STEM].strip("._-") or "network"
    )
    stem, number = base, 1
    while stem.lower() in taken:
        number += 1
        stem = f"{base}_{number}"
    taken.add(stem.lower())
    return stem
