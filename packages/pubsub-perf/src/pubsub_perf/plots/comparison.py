"""Two sweeps: the ratio of each cell's median and p99, and of all cells together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from pubsub_perf.analysis.sweep_comparison import Comparison
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.estimate import Estimate
from pubsub_perf.plots import style
from pubsub_perf.plots.figure_frame import FrameTexts, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import shortened

NAME: Final = "comparison"
_WIDTH_IN: Final = 7.6
_MAX_LABEL: Final = 44
# Half the distance of a cell's two marks.
_APART: Final = 0.17
_TICKS: Final = (
    0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10,
)  # fmt: skip
_MEDIAN: Final[dict[str, Any]] = {
    "color": style.of_model("centralized").colour,
    "marker": "o",
    "markersize": 5,
}
_TAIL: Final[dict[str, Any]] = {
    "color": style.of_model("decentralized").colour,
    "marker": "s",
    "markersize": 4.5,
    "markerfacecolor": "white",
}

_Line = tuple[str, Estimate, Estimate | None, str]


def comparison_figure(found: Comparison) -> Drawing:
    """A line for each cell, and one for all of them together."""
    lines: list[_Line] = [(r.cell, r.p50, r.p99, r.change) for r in found.rows]
    if found.pooled is not None:
        pooled = found.pooled
        lines.insert(0, ("all cells together", pooled.p50, pooled.p99, pooled.change))
    texts = FrameTexts(
        "Second sweep over the first",
        "ratio of latencies; right of 1 the second is slower",
        [
            f"Lines: 95 % intervals of single cells. Band: within {100 * found.margin:g} %, "
            f"which counts as the same. Single cells are called slower or faster at a false "
            f"discovery rate of 5 %."
        ],
    )
    with style.applied():
        frame = figure_frame(
            _WIDTH_IN,
            0.7 + 0.3 * len(lines),
            texts,
            handles=[
                Line2D([], [], label="median", **_MEDIAN),
                Line2D([], [], label="p99", **_TAIL),
            ],
        )
        _draw(frame.axes[0], lines, found)
        frame.fit()
    return Drawing(frame.figure, _description(lines))


def _draw(ax: Axes, lines: Sequence[_Line], found: Comparison) -> None:
    low, high = 1 / (1 + found.margin), 1 + found.margin
    ax.axvspan(low, high, color=style.SHADE, zorder=0)
    ax.axvline(1, color=style.INK, linewidth=0.9, zorder=1)
    ax.set_xscale("log")
    for place, (_, median, tail, _) in enumerate(lines):
        _mark(ax, median, place - (_APART if tail else 0), _MEDIAN)
        if tail:
            _mark(ax, tail, place + _APART, _TAIL)
    if found.pooled is not None and len(lines) > 1:
        ax.axhline(0.5, color=style.MUTED, linewidth=0.7)
    reach = _reach(lines, found.margin)
    ax.set_xlim(1 / reach, reach)
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.set_yticks(
        range(len(lines)),
        [f"{shortened(name, _MAX_LABEL)}: {change}" for name, _, _, change in lines],
        fontsize=8,
    )
    _ratio_axis(ax, reach)


def _mark(ax: Axes, ratio: Estimate, place: float, look: dict[str, Any]) -> None:
    if ratio.low is not None and ratio.high is not None:
        ax.plot(
            [ratio.low, ratio.high], [place] * 2, color=look["color"], linewidth=1.5
        )
    ax.plot([ratio.value], [place], linestyle="none", zorder=3, **look)


def _reach(lines: Sequence[_Line], margin: float) -> float:
    """The reach of the axis in both directions: all values, and intervals up to tenfold."""
    reach = 1 + 2 * margin
    for _, *estimates, _ in lines:
        for each in estimates:
            if not isinstance(each, Estimate):
                continue
            value = abs(math.log(each.value)) if each.value > 0 else 0.0
            ends = [end for end in (each.low, each.high) if end]
            widest = max((abs(math.log(end)) for end in ends), default=0.0)
            reach = max(reach, math.exp(max(value, min(widest, math.log(10)))))
    return 1.08 * min(reach, 1e6)


def _ratio_axis(ax: Axes, reach: float) -> None:
    ticks = [tick for tick in _TICKS if 1 / reach <= tick <= reach]
    if reach > 1.3:
        ticks = [tick for tick in ticks if tick not in (0.95, 1.05)]
    if reach > 2.2:
        ticks = [tick for tick in ticks if tick not in (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)]
    if reach > 12:
        powers = range(
            -math.floor(math.log10(reach)), math.floor(math.log10(reach)) + 1
        )
        ticks = [10.0**power for power in powers]
    ax.set_xticks(ticks)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    ax.set_xlabel("second / first")
    ax.grid(visible=True, axis="x")


def _description(lines: Sequence[_Line]) -> str:
    told = [
        f"{name}: median {wording.ratio(median)}, {change}"
        for name, median, _, change in lines
    ]
    return f"Latencies of the second sweep over the first. {'; '.join(told)}."
