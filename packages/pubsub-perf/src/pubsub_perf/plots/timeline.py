"""Latency of a cell's events against the time they were published: both models."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import listed
from pubsub_perf.results.summary_statistics import nearest_rank
from pubsub_perf.results.timeseries import Series

# More events than this are drawn as intervals of time: median, band and maximum.
_ALL: Final = 2500
_INTERVALS: Final = 160
_VECTOR_POINTS: Final = 1200
_BAND: Final = (100, 900)
_WIDTH_IN: Final = 7.0
_TITLE_IN: Final = 5.8
_TITLE_PT: Final = 9.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """A thinned long series: the time of each interval with events, and its latencies in
    seconds. ``highest`` has every extreme value."""

    middle_s: NDArray[np.float64]
    low_s: NDArray[np.float64]
    median_s: NDArray[np.float64]
    high_s: NDArray[np.float64]
    highest: NDArray[np.float64]


def timeline_figure(series: Sequence[Series]) -> Drawing | None:
    """One run of each model on one network, one below the other; None if no run has
    details."""
    if not series:
        return None
    summary = [one.summary for one in series]
    network = summary[0].cell.network
    shown = extent((one.details.latencies for one in series), log_from=20)
    end_s = max(float(one.details.elapsed_s[-1]) for one in series)
    texts = FrameTexts(
        f"{network}: latency over time",
        style.conditions(summary),
        [*_caption(series, end_s), *shown.note()],
        style.alert(summary),
    )
    with style.applied():
        height_in = 0.3 + 2.15 * len(series)
        panel_rows = [PanelRow()] * len(series)
        handles = _legend(series)
        frame = figure_frame(
            _WIDTH_IN, height_in, texts, panel_rows=panel_rows, handles=handles
        )
        for ax, one in zip(frame.axes, series, strict=True):
            latency_axis(ax, "y", shown, "latency", from_zero=True)
            _draw(ax, one, shown, end_s)
            ax.set_xlim(-0.012 * (end_s or 1.0), 1.012 * (end_s or 1.0))
            ax.set_title(_title(one), fontsize=_TITLE_PT, loc="left")
        for ax in frame.axes[:-1]:
            ax.tick_params(axis="x", labelbottom=False)
        frame.axes[-1].set_xlabel("published, since the first event (s)")
        frame.fit()
    return Drawing(frame.figure, _description(network, series))


def thinned(
    elapsed_s: NDArray[np.float64], latencies: NDArray[np.float64], end_s: float
) -> Intervals:
    """The series in intervals of equal length until ``end_s``."""
    width_s = end_s / _INTERVALS or 1.0
    which = np.minimum((elapsed_s / width_s).astype(np.int64), _INTERVALS - 1)
    order = np.lexsort((latencies, which))
    groups = np.split(latencies[order], np.flatnonzero(np.diff(which[order])) + 1)
    low, high = _BAND
    return Intervals(
        middle_s=(np.unique(which) + 0.5) * width_s,
        low_s=np.array([nearest_rank(group, low) for group in groups]),
        median_s=np.array([nearest_rank(group, 500) for group in groups]),
        high_s=np.array([nearest_rank(group, high) for group in groups]),
        highest=np.array([group[-1] for group in groups]),
    )


def _draw(ax: Axes, one: Series, shown: Extent, end_s: float) -> None:
    elapsed_s, latencies = one.details.elapsed_s, one.details.latencies
    if one.warmup.any():
        until_s = float(elapsed_s[one.warmup].max())
        ax.axvspan(-end_s or -1.0, until_s, zorder=0, **_WARMUP)
        ax.axvline(until_s, color=style.MUTED, linewidth=0.8)
    look = style.of_model(one.summary.cell.model)
    if len(latencies) <= _ALL:
        visible = latencies >= shown.low_s
        ax.plot(
            elapsed_s[visible],
            latencies[visible] * shown.unit.per_second,
            linestyle="none",
            **_mark(look) if len(latencies) <= _VECTOR_POINTS else _picture(look),
        )
    else:
        _band(ax, thinned(elapsed_s, latencies, end_s), look, shown)


def _band(
    ax: Axes, intervals: Intervals, look: style.ModelStyle, shown: Extent
) -> None:
    factor = shown.unit.per_second

    def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(values, shown.low_s) * factor

    x = intervals.middle_s
    ax.fill_between(
        x,
        scaled(intervals.low_s),
        scaled(intervals.high_s),
        color=look.tint,
        linewidth=0,
    )
    ax.plot(
        x,
        scaled(intervals.median_s),
        color=look.colour,
        linestyle=look.line,
        linewidth=1.4,
    )
    ax.plot(x, scaled(intervals.highest), linestyle="none", **_mark(look))


def _picture(look: style.ModelStyle) -> dict[str, Any]:
    """Many marks, drawn as one picture."""
    return _mark(look) | {
        "markerfacecolor": look.points if look.filled else "none",
        "markeredgecolor": look.points,
        "rasterized": True,
    }


def _mark(look: style.ModelStyle) -> dict[str, Any]:
    return {
        "marker": look.marker,
        "markersize": 3.2,
        "markerfacecolor": look.face,
        "markeredgecolor": look.colour,
        "markeredgewidth": 0.7,
    }


_WARMUP: Final[dict[str, Any]] = {
    "facecolor": style.SHADE,
    "edgecolor": "none",
}


def _legend(series: Sequence[Series]) -> list[Any]:
    """A column for each model, and last the common entries."""
    columns = [_explained(one) for one in series]
    if any(one.warmup.any() for one in series):
        columns[0].append(Patch(label="warm-up, kept out of statistics", **_WARMUP))
    rows = max(map(len, columns))
    for column in columns:
        blank = Line2D([], [], linestyle="none", label=" ")
        column += [blank] * (rows - len(column))
    return [handle for column in columns for handle in column]


def _explained(one: Series) -> list[Any]:
    look = style.of_model(one.summary.cell.model)
    name = one.summary.cell.model
    single: dict[str, Any] = {"linestyle": "none", **_mark(look)}
    if len(one.details.latencies) <= _ALL:
        return [Line2D([], [], label=f"{name}: one event", **single)]
    line: dict[str, Any] = {
        "color": look.colour,
        "linestyle": look.line,
        "linewidth": 1.4,
    }
    return [
        Patch(facecolor=look.tint, label=f"{name}: p10 to p90"),
        Line2D([], [], label=f"{name}: median", **line),
        Line2D([], [], label=f"{name}: highest", **single),
    ]


def _title(one: Series) -> str:
    name = one.summary.cell.model
    if one.summary.cell.degraded:
        name += f", \N{WARNING SIGN} machine {one.summary.cell.fidelity}"
    parts = [f"n = {len(one.details.latencies):,}"]
    if one.of_runs > 1:
        parts.insert(0, f"run {one.run} of {one.of_runs}")
    if one.warmup.any():
        parts.append(f"of these {int(one.warmup.sum()):,} warm-up")
    parts.append(units.loss(one.lost, one.expected))
    counts = listed(parts, _TITLE_IN, _TITLE_PT)
    return f"{name}\n{counts}"


def _caption(series: Sequence[Series], end_s: float) -> list[str]:
    lines = []
    if any(len(one.details.latencies) > _ALL for one in series):
        lines.append(
            f"Thinned to {_INTERVALS} intervals of {units.duration(end_s / _INTERVALS)}; "
            "the highest latency of each is drawn, so no extreme is left out."
        )
    if any(one.of_runs > 1 for one in series):
        lines.append("One run only: times of different runs do not belong together.")
    return lines


def _description(network: str, series: Sequence[Series]) -> str:
    parts = []
    for one in series:
        highest = int(np.argmax(one.details.latencies))
        parts.append(
            f"{one.summary.cell.model}: {len(one.details.latencies):,} events in "
            f"{float(one.details.elapsed_s[-1]):.1f} s, the highest latency "
            f"{units.duration(float(one.details.latencies[highest]))} after "
            f"{float(one.details.elapsed_s[highest]):.1f} s"
        )
    return f"One-way latency over time on {network}. {'; '.join(parts)}."
