"""Empirical distribution (ECDF) of one network: both models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.results.cell_summary import CellSummary

# Steps drawn of a larger sample: finer than a pixel, and both tails in full.
_STEPS: Final = 1000
_TAIL: Final = 200
_MARKED: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))


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
            "Marks: percentiles by nearest rank, p99 from 100 samples on. Lost events",
            "are in no curve.",
            *shown.note(),
            *style.absent(cells),
        ],
        style.alert(drawn),
    )
    with style.applied():
        frame = figure_frame(7.0, 3.9, texts, handles=[_handle(m) for m in drawn])
        (ax,) = frame.axes
        latency_axis(ax, "x", shown, "one-way latency")
        _percentile_lines(ax)
        for summary in drawn:
            _draw(ax, summary, shown)
        ax.set_ylim(-0.01, 1.02)
        ax.set_ylabel("fraction of samples at or below")
        frame.fit()
    text = "; ".join(_label(m).replace("\n", ", ") for m in drawn)
    return Drawing(
        frame.figure, f"Distribution of one-way latency on {network}. {text}."
    )


def _percentile_lines(ax: Axes) -> None:
    for fraction, name in _MARKED:
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
    marks = [
        (value * shown.unit.per_second, fraction)
        for value, (fraction, _) in zip(percentiles, _MARKED, strict=True)
        if value is not None and value >= shown.low_s
    ]
    ax.plot(
        [value for value, _ in marks],
        [fraction for _, fraction in marks],
        linestyle="none",
        zorder=3,
        **style.mark(look, look.marker),
    )


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
    inner = np.linspace(0, count - 1, _STEPS if count else 0).astype(np.int64)
    tails = [*range(min(_TAIL, count)), *range(max(0, count - _TAIL), count)]
    ranks = np.unique(np.concatenate([inner, tails])).astype(np.int64)
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
            f" p99 {units.duration(statistics.p99_s)}",
            *style.sample_count(summary)[2:],
        ]
    )
