"""Median latency of each publisher to each subscriber: both models, one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.colour_scale import colour_bar, norm_of
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import listed, shortened
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.pair_latencies import PairLatencies, pair_latencies
from pubsub_perf.units import Unit

# Values are written into the cells of a map of at most this many rows and columns.
_MAX_WRITTEN: Final = 8
_TICKS: Final = 13
_MAX_NAME: Final = 12
_TITLE_IN: Final = 2.9

Map = tuple[CellSummary, PairLatencies]


def pair_heatmap_figure(cells: Sequence[CellSummary]) -> Drawing | None:
    """The cells of one network; None without two pairs to compare."""
    found = [(m, pair_latencies(m)) for m in cells if len(m.ordered)]
    maps = [(m, p) for m, p in found if p is not None and p.count.size > 1]
    if not maps:
        return None
    network = maps[0][0].cell.network
    medians = np.concatenate([p.median_s[~np.isnan(p.median_s)] for _, p in maps])
    norm = norm_of(medians)
    unit = units.unit_for(medians.tolist())
    drawn = [m for m, _ in maps]
    texts = FrameTexts(
        f"{network}: median latency of each pair",
        style.conditions(drawn),
        [*_caption(maps), *style.absent(cells)],
        style.alert(drawn),
    )
    most = max(p.count.shape[0] for _, p in maps)
    with style.applied():
        height_in = 1.6 + min(3.6, 0.8 + 0.28 * most)
        width_in = 7.4 if len(maps) > 1 else 5.4
        panel_rows = [PanelRow(len(maps)), PanelRow(height_in=0.15)]
        frame = figure_frame(width_in, height_in, texts, panel_rows=panel_rows)
        for position, (ax, (summary, table)) in enumerate(
            zip(frame.panel_rows[0], maps, strict=True)
        ):
            _draw(ax, summary, table, norm, unit)
            if not position:
                ax.set_ylabel("publisher")
            elif table.publishers == maps[0][1].publishers:
                ax.tick_params(axis="y", labelleft=False)
        colour_bar(frame.panel_rows[1][0], norm, unit, "median one-way latency")
        frame.fit()
    return Drawing(frame.figure, _description(maps))


def _draw(
    ax: Axes, summary: CellSummary, table: PairLatencies, norm: Normalize, unit: Unit
) -> None:
    rows, columns = table.count.shape
    hatch: dict[str, Any] = {
        "hatch": "//////",
        "edgecolor": style.FAINT,
        "facecolor": "white",
    }
    ax.add_patch(Rectangle((-0.5, -0.5), columns, rows, linewidth=0, zorder=0, **hatch))
    ax.imshow(
        np.ma.masked_invalid(table.median_s),
        norm=norm,
        cmap=style.SCALE,
        aspect="auto",
        interpolation="none",
    )
    ax.spines[:].set_visible(False)
    _names(ax, "x", table.subscribers)
    _names(ax, "y", table.publishers)
    ax.set_xlabel("subscriber")
    counts = listed(style.sample_count(summary), _TITLE_IN, 9.0)
    ax.set_title(f"{summary.cell.model}\n{counts}", fontsize=9, loc="left")
    if max(rows, columns) <= _MAX_WRITTEN:
        _write(ax, table, norm, unit)
    if summary.cell.lost:
        _mark_short(ax, table)


def _names(ax: Axes, which: Literal["x", "y"], names: Sequence[str]) -> None:
    axis = ax.xaxis if which == "x" else ax.yaxis
    step = -(-len(names) // _TICKS)
    at = range(0, len(names), step)
    labels = [shortened(names[i], _MAX_NAME) for i in at]
    axis.set_major_locator(FixedLocator(list(at)))
    axis.set_ticklabels(labels, fontsize=8)
    axis.set_minor_locator(NullLocator())
    ax.tick_params(axis=which, length=2.5 if step > 1 else 0)
    if which == "x" and max(map(len, labels)) * len(labels) > 36:
        ax.tick_params(axis="x", labelrotation=90)


def _write(ax: Axes, table: PairLatencies, norm: Normalize, unit: Unit) -> None:
    colours = colormaps[style.SCALE]
    for (row, column), value in np.ndenumerate(table.median_s):
        if np.isnan(value):
            continue
        red, green, blue, _ = colours(float(norm(value)))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        ax.text(
            column,
            row,
            unit.show(value),
            ha="center",
            va="center",
            fontsize=8,
            color="#000000" if light else style.ON_DARK,
        )


_SHORT: Final[dict[str, Any]] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": style.ON_DARK,
    "markeredgecolor": "black",
}


def _mark_short(ax: Axes, table: PairLatencies) -> None:
    rows, columns = np.nonzero(table.short)
    side = 0.35 * 200 / max(table.count.shape)
    size = min(5.0, max(1.2, side))
    place = 0.36 if max(table.count.shape) <= _MAX_WRITTEN else 0.0
    ax.plot(
        columns + place,
        rows - place,
        markersize=size,
        markeredgewidth=size / 6,
        rasterized=len(rows) > 200,
        **_SHORT,
    )


def _caption(maps: Sequence[Map]) -> list[str]:
    several = "both" if len(maps) == 2 else "all"
    one_scale = f" One scale for {several}." if len(maps) > 1 else ""
    lines = [f"Each cell: median of one publisher at one subscriber.{one_scale}"]
    if any((p.count == 0).any() for _, p in maps):
        lines.append("Hatched: no event of this pair.")
    if any(m.cell.lost and p.short.any() for m, p in maps):
        lines.append("Dot: this pair lacks events.")
    return lines


def _description(maps: Sequence[Map]) -> str:
    parts = []
    for summary, table in maps:
        low, high = np.nanmin(table.median_s), np.nanmax(table.median_s)
        rows, columns = table.count.shape
        parts.append(
            f"{summary.cell.model}: {rows} by {columns}, medians from "
            f"{units.duration(float(low))} to {units.duration(float(high))}"
        )
    network = maps[0][0].cell.network
    return f"Median latency of each publisher at each subscriber on {network}. " + (
        f"{'; '.join(parts)}."
    )
