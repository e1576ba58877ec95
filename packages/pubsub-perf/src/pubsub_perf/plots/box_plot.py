"""Box plot of one network: both models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import wrap
from pubsub_perf.results.cell_summary import CellSummary

# More single points become one picture inside the SVG.
_VECTOR_POINTS: Final = 1200
_LARGE_POINTS: Final = 400
_BOX_WIDTH: Final = 0.46
_SLOT_IN: Final = 2.9
_LABEL_PT: Final = 9.0


def box_figure(cells: Sequence[CellSummary]) -> Drawing | None:
    """The cells of one network; None when none of them has samples."""
    drawn = [m for m in cells if len(m.ordered)]
    if not drawn:
        return None
    shown = extent(m.ordered for m in drawn)
    texts = FrameTexts(
        f"{drawn[0].cell.network}: latency",
        style.conditions(drawn),
        [
            "Box: quartiles and median. Whiskers: the last sample within 1.5 times the",
            "box's length. Circles: every sample beyond. Samples of all subscribers",
            "together; percentiles by nearest rank.",
            *shown.note(),
            *style.absent(cells),
        ],
        style.alert(drawn),
    )
    with style.applied():
        frame = figure_frame(1.0 + _SLOT_IN * max(2, len(drawn)), 4.5, texts)
        (ax,) = frame.axes
        labels = [_draw(ax, i, m, shown) for i, m in enumerate(drawn)]
        ax.set_xticks(range(len(drawn)), labels, fontsize=_LABEL_PT)
        ax.tick_params(axis="x", length=0, pad=6)
        ax.set_xlim(-0.6, len(drawn) - 0.4)
        latency_axis(ax, "y", shown, "one-way latency")
        frame.fit()
    return Drawing(frame.figure, _description(drawn))


def _draw(ax: Axes, position: int, summary: CellSummary, shown: Extent) -> str:
    look = style.of_model(summary.cell.model)
    statistics = summary.statistics
    low, high = _whiskers(summary)
    inside = (summary.ordered >= low) & (summary.ordered <= high)
    factor = shown.unit.per_second
    points = {
        "q1": statistics.p25_s,
        "med": statistics.p50_s,
        "q3": statistics.p75_s,
        "whislo": low,
        "whishi": high,
    }
    ax.bxp(
        [{name: (value or 0.0) * factor for name, value in points.items()}],
        positions=[position],
        widths=_BOX_WIDTH,
        showfliers=False,
        patch_artist=True,
        boxprops={
            "facecolor": look.tint,
            "edgecolor": look.colour,
            "hatch": look.hatch,
        },
        medianprops={"color": style.INK, "linewidth": 2, "solid_capstyle": "butt"},
        whiskerprops={"color": look.colour, "linewidth": 1.3, "linestyle": look.line},
        capprops={"color": look.colour, "linewidth": 1.3},
    )
    beyond = summary.ordered[~inside]
    _points(ax, position, shown.scaled(beyond), look)
    lines = [
        summary.cell.model,
        *style.sample_count(summary),
        f"p50 {units.duration(statistics.p50_s)}, p99 {units.duration(statistics.p99_s)}",
        f"{len(beyond):,} beyond the whiskers",
    ]
    return "\n".join(wrap(line, _SLOT_IN - 0.15, _LABEL_PT) for line in lines)


def _points(
    ax: Axes, position: int, values: NDArray[np.float64], look: style.ModelStyle
) -> None:
    # Spread by the golden ratio: even, and always the same.
    spread = (np.arange(len(values)) * 0.6180339887) % 1.0 - 0.5
    single = len(values) <= _VECTOR_POINTS
    ax.plot(
        position + spread * 0.3,
        values,
        linestyle="none",
        marker="o",
        markersize=4 if len(values) <= _LARGE_POINTS else 2.5,
        markerfacecolor="none",
        markeredgecolor=look.colour if single else look.points,
        markeredgewidth=0.8 if len(values) <= _LARGE_POINTS else 0.5,
        rasterized=not single,
    )


def _whiskers(summary: CellSummary) -> tuple[float, float]:
    """The outermost samples within Tukey's fences."""
    statistics = summary.statistics
    q1, q3 = statistics.p25_s or 0.0, statistics.p75_s or 0.0
    reach = 1.5 * (q3 - q1)
    ordered = summary.ordered
    within = ordered[(ordered >= q1 - reach) & (ordered <= q3 + reach)]
    return float(within[0]), float(within[-1])


def _description(cells: Sequence[CellSummary]) -> str:
    parts = [
        f"{m.cell.model}: median {units.duration(m.statistics.p50_s)}, "
        f"p99 {units.duration(m.statistics.p99_s)}, maximum "
        f"{units.duration(m.statistics.max_s)}, {', '.join(style.sample_count(m))}"
        for m in cells
    ]
    network = cells[0].cell.network
    return f"Box plot of one-way latency on {network}. {'; '.join(parts)}."
