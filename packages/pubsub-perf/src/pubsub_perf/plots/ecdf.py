"""Empirical distribution (ECDF) of one network, and its tail on a logarithmic axis (CCDF):
both models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.results.cell_summary import CellSummary

# Number of steps for a larger sample: finer than a pixel, with complete tails.
_STEPS: Final = 1000
_TAIL: Final = 200
_MARKED: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
# In the tail: one sample in so many lies at or above.
_TAIL_MARKED: Final = ((0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"))


def ecdf_figure(cells: Sequence[CellSummary]) -> Drawing | None:
    """The cells of one network; None when none of them has samples."""
    drawn = [m for m in cells if len(m.ordered)]
    if not drawn:
        return None
    network = drawn[0].cell.network
    shown = extent((m.ordered for m in drawn), log_from=0)
    texts = FrameTexts(
        f"{network}: distribution of latency",
        style.conditions(drawn),
        [
            "Below: the tail of the same samples, on a logarithmic axis. Marks: percentiles",
            "by nearest rank, p99 from 100 samples on, p99.9 from 1,000. Lost events are in",
            "no curve.",
            *shown.note(),
            *style.absent(cells),
        ],
        style.alert(drawn),
    )
    with style.applied():
        frame = figure_frame(
            7.0,
            6.2,
            texts,
            panel_rows=[PanelRow(), PanelRow()],
            handles=[_handle(m) for m in drawn],
        )
        whole, tail = frame.axes
        for ax in frame.axes:
            latency_axis(ax, "x", shown, "one-way latency")
        whole.tick_params(axis="x", labelbottom=False)
        whole.set_xlabel("")
        _percentile_lines(whole, _MARKED)
        whole.set_ylim(-0.01, 1.02)
        whole.set_ylabel("fraction at or below")
        _tail_axis(tail, max(len(m.ordered) for m in drawn))
        for summary in drawn:
            _draw(whole, summary, shown)
            _draw_tail(tail, summary, shown)
        frame.fit()
    text = "; ".join(_label(m).replace("\n", ", ") for m in drawn)
    return Drawing(
        frame.figure, f"Distribution of one-way latency on {network}. {text}."
    )


def _tail_axis(ax: Axes, most: int) -> None:
    """The axis of the fraction at or above, down to one sample of ``most``."""
    ax.set_yscale("log")
    ax.set_ylim(0.7 / max(most, 10), 1.4)
    ax.yaxis.set_major_locator(LogLocator(numticks=12))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("fraction at or above (log scale)")
    low = ax.get_ylim()[0]
    _percentile_lines(ax, [mark for mark in _TAIL_MARKED if mark[0] > low])


def _percentile_lines(ax: Axes, marked: Sequence[tuple[float, str]]) -> None:
    for fraction, name in marked:
        ax.axhline(fraction, color=style.MUTED, linewidth=0.7, linestyle=":")
        ax.annotate(
            name,
            (1.0, fraction),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=style.MUTED,
            annotation_clip=False,
        )


def _draw(ax: Axes, summary: CellSummary, shown: Extent) -> None:
    look = style.of_model(summary.cell.model)
    statistics = summary.statistics
    x, y = _steps(summary.ordered, shown, ax.get_xlim())
    ax.step(x, y, where="post", color=look.colour, linestyle=look.line, linewidth=1.7)
    percentiles = (statistics.p50_s, statistics.p90_s, statistics.p99_s)
    _marks(ax, look, shown, zip(percentiles, _MARKED, strict=True))


def _draw_tail(ax: Axes, summary: CellSummary, shown: Extent) -> None:
    look = style.of_model(summary.cell.model)
    statistics = summary.statistics
    values = shown.scaled(summary.ordered)
    ranks = _ranks(len(values))
    above = (len(values) - ranks) / len(summary.ordered)
    if not len(ranks):
        return
    x = np.concatenate([ax.get_xlim()[:1], values[ranks]])
    y = np.concatenate([above[:1], above])
    ax.step(x, y, where="pre", color=look.colour, linestyle=look.line, linewidth=1.7)
    percentiles = (statistics.p90_s, statistics.p99_s, statistics.p999_s)
    _marks(ax, look, shown, zip(percentiles, _TAIL_MARKED, strict=True))


def _marks(
    ax: Axes,
    look: style.ModelStyle,
    shown: Extent,
    found: Iterable[tuple[float | None, tuple[float, str]]],
) -> None:
    """Marks of the percentiles that are known and that the axis can show."""
    marks = [
        (value * shown.unit.per_second, fraction)
        for value, (fraction, _) in found
        if value is not None and value >= shown.low_s
    ]
    ax.plot(
        [value for value, _ in marks],
        [fraction for _, fraction in marks],
        linestyle="none",
        zorder=3,
        **style.mark(look, look.marker),
    )


def _ranks(count: int) -> NDArray[np.int64]:
    """The indices of the samples that are drawn."""
    inner = np.linspace(0, count - 1, _STEPS if count else 0).astype(np.int64)
    tails = [*range(min(_TAIL, count)), *range(max(0, count - _TAIL), count)]
    return np.unique(np.concatenate([inner, tails])).astype(np.int64)


def _handle(summary: CellSummary) -> Line2D:
    look = style.of_model(summary.cell.model)
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.line,
        linewidth=1.7,
        label=_label(summary),
        **style.mark(look, look.marker),
    )


def _steps(
    ordered: NDArray[np.float64], shown: Extent, edges: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The function from one edge of the axis to the other, where it is defined, too.
    Values that the axis cannot show lie left of it."""
    values = shown.scaled(ordered)
    count = len(values)
    hidden = len(ordered) - count
    ranks = _ranks(count)
    x = np.concatenate([edges[:1], values[ranks], edges[1:]])
    y = np.concatenate([[hidden], ranks + hidden + 1, [len(ordered)]]) / len(ordered)
    return x, y


def _label(summary: CellSummary) -> str:
    statistics = summary.statistics
    return "\n".join(
        [
            summary.cell.model,
            *style.sample_count(summary)[:2],
            f"p50 {units.duration(statistics.p50_s)}, p90 {units.duration(statistics.p90_s)},"
            f" p99 {units.duration(statistics.p99_s)}, p99.9 {units.duration(statistics.p999_s)}",
            *style.sample_count(summary)[2:],
        ]
    )
