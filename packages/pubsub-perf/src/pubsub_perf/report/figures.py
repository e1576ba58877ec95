"""Draws the figures of a report, writes them as files, and makes them ready for the page."""

from __future__ import annotations

import base64
import dataclasses
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from pubsub_perf.analysis.values.results import Analysis
from pubsub_perf.plots.output import Drawing, save
from pubsub_perf.plots.registry import (
    NETWORK_FIGURES,
    SWEEP_FIGURES,
    NetworkData,
    SweepData,
)
from pubsub_perf.plots.style import DPI
from pubsub_perf.report.svg_for_page import as_uri, for_page
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.timeseries import read_series

_MAX_STEM: Final = 100
# Larger figures are shown as PNG on the page: a browser is slow to draw them.
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


@dataclasses.dataclass(slots=True)
class FigureWriter:
    """Draws figures into ``out / plots`` and keeps what was written in ``files``, and
    what could not be read in ``problems``."""

    out: Path
    files: list[Path] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def of_sweep(
        self, cells: Sequence[CellSummary], analysis: Analysis
    ) -> tuple[ReportFigure, ...]:
        """The figures of all networks together."""
        data = SweepData(cells, analysis)
        written = (self._add(it.draw(data), it.name) for it in SWEEP_FIGURES)
        return tuple(filter(None, written))

    def by_network(self, cells: Sequence[CellSummary]) -> Iterator[NetworkSection]:
        """The figures of each network."""
        stems: set[str] = set()
        groups = groupby(cells, key=lambda summary: summary.cell.network)
        for network, group in groups:
            stem = _stem(network, stems)
            data = self._data(list(group))
            written = (
                self._add(it.draw(data), f"{stem}-{it.name}") for it in NETWORK_FIGURES
            )
            yield NetworkSection(network, stem, tuple(filter(None, written)))

    def _data(self, cells: Sequence[CellSummary]) -> NetworkData:
        series = []
        for summary in cells:
            one, problems = read_series(summary)
            self.problems += problems
            series += [one] if one is not None else []
        return NetworkData(cells, series)

    def _add(self, drawing: Drawing | None, name: str) -> ReportFigure | None:
        if drawing is None:
            return None
        png, svg = save(drawing, self.out / "plots" / name)
        self.files += [png, svg]
        small = for_page(svg.read_bytes())
        themed = len(small) <= _MAX_SVG
        pixels = png.read_bytes()
        wide, high = _size(pixels)
        return ReportFigure(
            name=name,
            png=png.relative_to(self.out).as_posix(),
            svg=svg.relative_to(self.out).as_posix(),
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
