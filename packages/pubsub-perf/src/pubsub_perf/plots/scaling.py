"""Latency against hosts over several runs: intervals and fitted curves, by kind of
network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pubsub_perf.analysis.values.results import (
    Analysis,
    CellResult,
    Estimate,
    GrowthResult,
    RunResult,
)
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.growth import growth_figure
from pubsub_perf.plots.hosts_axis import hosts_axis
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.scaling_captions import (
    alert,
    alone,
    caption,
    curve_of,
    degraded,
    description,
    title,
    total,
)
from pubsub_perf.results.cell_summary import CellSummary

_LOG_FROM: Final = 50.0
_TICK_DISTANCE: Final = 0.1
_WIDTH_IN: Final = 7.6


@dataclasses.dataclass(frozen=True, slots=True)
class Percentile:
    """One percentile: of a cell, and of one of its runs."""

    name: str
    of_cell: Callable[[CellResult], Estimate | None]
    of_run: Callable[[RunResult], float | None]


_PERCENTILES: Final = (
    Percentile("median", lambda cell: cell.p50_s, lambda run: run.p50_s),
    Percentile("p99", lambda cell: cell.p99_s, lambda run: run.p99_s),
)


def hosts_figure(cells: Sequence[CellSummary], analysis: Analysis) -> Drawing | None:
    """Latency against hosts: with the intervals and curves of the analysis, else the cells one
    by one."""
    figure = scaling_figure(analysis, style.common_load(cells))
    return figure or growth_figure(cells, _why_no_intervals(analysis))


def _why_no_intervals(analysis: Analysis) -> str:
    if max((len(cell.runs) for cell in analysis.cells), default=0) < 2:
        return "No intervals: every cell has one run (--repeats makes several)."
    return "No intervals or curves: too few runs of each cell, and too few sizes."


def scaling_figure(analysis: Analysis, load: str = "") -> Drawing | None:
    """The figure, or None without an interval and without a fitted curve over two sizes; then
    the cells can be drawn one by one. ``load`` is the load of all cells."""
    every = [c for c in analysis.cells if c.hosts and c.p50_s is not None]
    kinds = [k for k in sorted({c.kind for c in every}) if len(_hosts(every, k)) > 1]
    cells = [cell for cell in every if cell.kind in kinds]
    fits = [g for g in analysis.growth if g.shapes and g.kind in kinds]
    bounded = [c for c in cells if c.p50_s is not None and c.p50_s.bounded]
    if not cells or not (bounded or fits):
        return None
    extents = [_extent(cells, fits if not i else (), m) for i, m in _numbered()]
    # One unit for both, so that they can be compared.
    extents = [dataclasses.replace(e, unit=extents[-1].unit) for e in extents]
    texts = FrameTexts(
        "One-way latency against number of hosts",
        load,
        [*caption(analysis, cells, fits), *alone(every, kinds)],
        alert(cells),
    )
    with style.applied():
        panel_rows = [PanelRow(2)] * len(kinds)
        height_in = 0.3 + 2.9 * len(kinds)
        handles = _legend(cells, fits)
        frame = figure_frame(
            _WIDTH_IN, height_in, texts, panel_rows=panel_rows, handles=handles
        )
        for band, kind in zip(frame.panel_rows, kinds, strict=True):
            of_kind = [cell for cell in cells if cell.kind == kind]
            for ax, (i, summary_of), shown in zip(
                band, _numbered(), extents, strict=True
            ):
                latency_axis(ax, "y", shown, summary_of.name, from_zero=True)
                hosts = _hosts(cells, kind)
                last = kind == kinds[-1]
                hosts_axis(ax, hosts, label=last, tick_distance=_TICK_DISTANCE)
                if not i:
                    _curves(ax, [f for f in fits if f.kind == kind], shown)
                _marks(ax, of_kind, summary_of, shown)
                said = [f for f in fits if f.kind == kind] if not i else []
                ax.set_title(title(kind, summary_of.name, said), fontsize=9, loc="left")
        frame.fit()
    return Drawing(frame.figure, description(cells, fits))


def _numbered() -> list[tuple[int, Percentile]]:
    return list(enumerate(_PERCENTILES))


def _hosts(cells: Sequence[CellResult], kind: str) -> list[int]:
    return sorted({cell.hosts or 0 for cell in cells if cell.kind == kind})


def _extent(
    cells: Sequence[CellResult], fits: Sequence[GrowthResult], summary_of: Percentile
) -> Extent:
    values: list[float] = []
    for cell in cells:
        estimate = summary_of.of_cell(cell)
        if estimate is not None:
            ends = (estimate.value, estimate.low, estimate.high)
            values += [value for value in ends if value is not None]
        values += filter(None, map(summary_of.of_run, cell.runs))
    for fit in fits:
        values += curve_of(fit)[1]
    return extent([np.array(values or [0.0])], log_from=_LOG_FROM)


def _marks(
    ax: Axes, cells: Sequence[CellResult], summary_of: Percentile, shown: Extent
) -> None:
    factor = shown.unit.per_second
    for cell in cells:
        look = style.of_model(cell.model)
        runs = [value for run in cell.runs if (value := summary_of.of_run(run))]
        if len(runs) > 1:
            ax.plot(
                [cell.hosts or 0] * len(runs),
                [value * factor for value in runs],
                **_run(look),
            )
        estimate = summary_of.of_cell(cell)
        if estimate is None:
            continue
        value = estimate.value * factor
        if estimate.low is not None and estimate.high is not None:
            reach = [[value - estimate.low * factor], [estimate.high * factor - value]]
            ax.errorbar(
                cell.hosts or 0,
                value,
                yerr=np.maximum(reach, 0),
                ecolor=look.colour,
                elinewidth=1.3,
                capsize=4,
                capthick=1.3,
                fmt="none",
                zorder=2.5,
            )
        ax.plot(cell.hosts or 0, value, linestyle="none", zorder=3, **_mark(look, cell))
        if degraded(cell):
            ax.plot(cell.hosts or 0, value, **style.RING)


def _mark(look: style.ModelStyle, cell: CellResult | None) -> dict[str, Any]:
    mark = style.mark(look, look.marker) | {"markersize": 6}
    if cell is not None and not cell.counted:
        mark |= {"marker": "x", "markeredgecolor": look.colour, "markeredgewidth": 1.5}
    return mark


def _run(look: style.ModelStyle) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "_",
        "markersize": 5,
        "markeredgecolor": look.colour,
        "markeredgewidth": 0.8,
        "alpha": 0.6,
    }


def _curves(ax: Axes, fits: Sequence[GrowthResult], shown: Extent) -> None:
    for fit in fits:
        look = style.of_model(fit.model)
        hosts, latencies = curve_of(fit)
        y = np.array(latencies) * shown.unit.per_second
        ax.plot(
            hosts, y, color=look.colour, linestyle=look.line, linewidth=1.5, zorder=2
        )


def _legend(cells: Sequence[CellResult], fits: Sequence[GrowthResult]) -> list[Line2D]:
    columns: list[list[Line2D]] = []
    for model in sorted({cell.model for cell in cells}):
        look = style.of_model(model)
        of_model = [cell for cell in cells if cell.model == model]
        line = look.line if any(fit.model == model for fit in fits) else "none"
        columns.append(
            [
                Line2D(
                    [],
                    [],
                    color=look.colour,
                    linestyle=line,
                    linewidth=1.5,
                    label=f"{model}\n{total(of_model)}",
                    **_mark(look, None),
                )
            ]
        )
    if any(degraded(cell) for cell in cells):
        ring = style.RING | {"markersize": 10}
        columns[0].append(Line2D([], [], label="machine overloaded", **ring))
    rows = max(map(len, columns))
    for column in columns:
        blank = Line2D([], [], linestyle="none", label=" ")
        column += [blank] * (rows - len(column))
    return [handle for column in columns for handle in column]
