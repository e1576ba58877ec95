"""The figures of a report: drawn, written as files, and made ready for the page. Shell
(writes files)."""

from __future__ import annotations

import base64
import dataclasses
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from pubsub_perf import plots
from pubsub_perf.analysis import Analysis
from pubsub_perf.plots import style
from pubsub_perf.report.svg_for_page import as_uri, for_page
from pubsub_perf.results.cell_summary import Measured
from pubsub_perf.results.timeseries import read_series

_MAX_STEM: Final = 100
# Larger figures are shown as PNG on the page: a browser is slow to draw them.
_MAX_SVG: Final = 300_000


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
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
class Section:
    """The figures of one network."""

    network: str
    anchor: str
    pictures: tuple[Picture, ...]


@dataclasses.dataclass(slots=True)
class Gallery:
    """Draws figures into ``out / plots`` and keeps what was written in ``files``, and
    what could not be read in ``problems``."""

    out: Path
    files: list[Path] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def over_all(
        self, cells: Sequence[Measured], analysis: Analysis
    ) -> tuple[Picture, ...]:
        """The figures of all networks together."""
        scaling = plots.scaling_figure(analysis, style.common_load(cells))
        if scaling is None:
            note = _why_no_intervals(analysis)
            scaling = plots.growth_figure(cells, note)
        overloaded = {
            m.cell.network
            for m in cells
            if m.cell.degraded and m.cell.model == "centralized"
        }
        drawings = (
            (scaling, "hosts"),
            (plots.residual_figure(analysis), "residuals"),
            (plots.queueing_figure(analysis.queueing, overloaded), "queueing"),
            (plots.lateness_figure(cells), "lateness"),
        )
        return tuple(filter(None, (self._add(d, name) for d, name in drawings)))

    def by_network(self, cells: Sequence[Measured]) -> Iterator[Section]:
        """The figures of each network."""
        stems: set[str] = set()
        groups = groupby(cells, key=lambda measured: measured.cell.network)
        for network, group in groups:
            stem = _stem(network, stems)
            pictures = [
                self._add(d, name) for d, name in self._drawn(list(group), stem)
            ]
            yield Section(network, stem, tuple(filter(None, pictures)))

    def _drawn(
        self, cells: Sequence[Measured], stem: str
    ) -> Iterator[tuple[plots.Drawing | None, str]]:
        yield plots.box_figure(cells), f"{stem}-box"
        yield plots.ecdf_figure(cells), f"{stem}-ecdf"
        yield plots.heat_figure(cells), f"{stem}-pairs"
        yield plots.topology_figure(cells), f"{stem}-topology"
        series = []
        for measured in cells:
            one, problems = read_series(measured)
            self.problems += problems
            series += [one] if one is not None else []
        yield plots.timeline_figure(series), f"{stem}-time"

    def _add(self, drawing: plots.Drawing | None, name: str) -> Picture | None:
        if drawing is None:
            return None
        png, svg = plots.save(drawing, self.out / "plots" / name)
        self.files += [png, svg]
        small = for_page(svg.read_bytes())
        themed = len(small) <= _MAX_SVG
        pixels = png.read_bytes()
        wide, high = _size(pixels)
        return Picture(
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
    return round(wide * 96 / plots.DPI), round(high * 96 / plots.DPI)


def _why_no_intervals(analysis: Analysis) -> str:
    if max((len(cell.runs) for cell in analysis.cells), default=0) < 2:
        return "No intervals: every cell has one run (--repeats makes several)."
    return "No intervals or curves: too few runs of each cell, and too few sizes."


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
