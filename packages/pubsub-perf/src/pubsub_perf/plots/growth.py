"""Median and p99 against the number of hosts, over all networks."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.hosts_axis import hosts_axis
from pubsub_perf.plots.kind_markers import Marker, markers_of
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import shortened
from pubsub_perf.results.cell_summary import CellSummary

# Linear axes where possible: on them a straight line is linear growth.
_LOG_FROM: Final = 50.0
_MAX_NAME: Final = 20

Pick = Callable[[CellSummary], float | None]
_PANELS: Final[tuple[tuple[str, Pick], ...]] = (
    ("median", lambda summary: summary.statistics.p50_s),
    ("p99", lambda summary: summary.statistics.p99_s),
)


def growth_figure(cells: Sequence[CellSummary], note: str = "") -> Drawing | None:
    """The figure, or None with samples for fewer than two numbers of hosts. ``note`` is the
    reason for missing intervals."""
    drawn = [m for m in cells if len(m.ordered) and m.cell.hosts]
    hosts = sorted({m.cell.hosts or 0 for m in drawn})
    if len(hosts) < 2:
        return None
    markers = markers_of(m.cell.kind for m in drawn)
    panels = [panel for panel in _PANELS if len(_values(drawn, panel[1]))]
    # One unit and one kind of scale for all panels.
    shown = extent((_values(drawn, pick) for _, pick in panels), log_from=_LOG_FROM)
    texts = FrameTexts(
        "One-way latency against number of hosts",
        style.common_load(drawn),
        [
            note,
            *_caption(drawn),
            *shown.note(),
            *style.absent(cells),
            *_unplaced(cells),
        ],
        style.alert(drawn),
    )
    with style.applied():
        handles = _legend(drawn, markers)
        height_in = 0.4 + 2.8 * len(panels)
        frame = figure_frame(
            6.6,
            height_in,
            texts,
            panel_rows=[PanelRow()] * len(panels),
            handles=handles,
        )
        for ax, (name, pick) in zip(frame.axes, panels, strict=True):
            log_from = 0 if shown.log else math.inf
            reach = extent([_values(drawn, pick)], log_from=log_from)
            reach = dataclasses.replace(reach, unit=shown.unit)
            _draw(ax, drawn, pick, reach, markers)
            latency_axis(ax, "y", reach, f"{name} latency", from_zero=True)
            hosts_axis(ax, hosts, label=ax is frame.axes[-1])
        frame.fit()
    return Drawing(frame.figure, _description(drawn, hosts))


def _values(cells: Sequence[CellSummary], pick: Pick) -> NDArray[np.float64]:
    return np.array([v for v in map(pick, cells) if v is not None], dtype=np.float64)


def _draw(
    ax: Axes,
    cells: Sequence[CellSummary],
    pick: Pick,
    shown: Extent,
    markers: dict[str, Marker],
) -> None:
    lines: dict[tuple[str, str], dict[int, list[float]]] = {}
    for summary in cells:
        cell = summary.cell
        value = pick(summary)
        if value is None or (shown.log and value < shown.low_s):
            continue
        value *= shown.unit.per_second
        at_hosts = lines.setdefault((cell.model, cell.kind), {})
        at_hosts.setdefault(cell.hosts or 0, []).append(value)
        if cell.degraded:
            ax.plot(cell.hosts or 0, value, **style.RING)
    for (model, kind), at_hosts in lines.items():
        look = style.of_model(model)
        ordered = sorted(at_hosts)
        middle = [statistics.median(at_hosts[hosts]) for hosts in ordered]
        ax.plot(ordered, middle, color=look.colour, linestyle=look.line, linewidth=1.5)
        ax.plot(
            [hosts for hosts in ordered for _ in at_hosts[hosts]],
            [value for hosts in ordered for value in at_hosts[hosts]],
            linestyle="none",
            zorder=3,
            **style.mark(look, markers[kind]),
        )


def _legend(cells: Sequence[CellSummary], markers: dict[str, Marker]) -> list[Line2D]:
    """Models in the first column, kinds of networks in the second."""
    left = []
    for model in sorted({m.cell.model for m in cells}):
        look = style.of_model(model)
        label = f"{model}\n{_total([m for m in cells if m.cell.model == model])}"
        left.append(
            Line2D(
                [],
                [],
                color=look.colour,
                linestyle=look.line,
                linewidth=1.5,
                label=label,
                **style.mark(look, look.marker),
            )
        )
    if any(m.cell.degraded for m in cells):
        ring = style.RING | {"markersize": 11}
        left.append(Line2D([], [], label="machine strained or saturated", **ring))
    grey = style.ModelStyle(style.MUTED, "", "", "-", "", "", False)
    right = [
        Line2D(
            [],
            [],
            linestyle="none",
            label=shortened(kind, _MAX_NAME),
            **style.mark(grey, marker),
        )
        for kind, marker in markers.items()
    ]
    rows = max(len(left), len(right))
    for column in (left, right):
        column += [Line2D([], [], linestyle="none", label=" ")] * (rows - len(column))
    return left + right


def _total(cells: Sequence[CellSummary]) -> str:
    samples = sum(m.statistics.count for m in cells)
    known = [m.statistics for m in cells if m.statistics.lost is not None]
    lost = sum(s.lost or 0 for s in known) if known else None
    all_known = bool(known) and all(s.expected is not None for s in known)
    expected = sum(s.expected or 0 for s in known) if all_known else None
    text = f"n = {samples:,}, {units.loss(lost, expected)}"
    if known and len(known) < len(cells):
        text += f", not counted in {len(cells) - len(known)} of {len(cells)} cells"
    return text


def _caption(cells: Sequence[CellSummary]) -> Iterator[str]:
    if all(len(m.cell.pooled) < 2 for m in cells):
        yield "Each mark is one run; a single run is an indication, not a result."
    else:
        yield "Each mark is a cell, all its runs together."
    if any(m.cell.degraded for m in cells):
        yield "Ringed: the machine lacked CPU time, which adds to the latency."
    places = [(m.cell.model, m.cell.kind, m.cell.hosts) for m in cells]
    if len(set(places)) < len(places):
        yield "A line passes through the middle of several cells with as many hosts."
    few = sum(m.statistics.p99_s is None for m in cells)
    if few:
        yield f"No p99 of {counted(few, 'cell')} with under 100 samples."


def _unplaced(cells: Sequence[CellSummary]) -> Iterator[str]:
    count = sum(1 for m in cells if len(m.ordered) and not m.cell.hosts)
    if count:
        yield f"{counted(count, 'cell')} with unknown hosts not shown."


def _description(cells: Sequence[CellSummary], hosts: Sequence[int]) -> str:
    parts = []
    for model in sorted({m.cell.model for m in cells}):
        medians = [m.statistics.p50_s or 0.0 for m in cells if m.cell.model == model]
        parts.append(
            f"{model}: medians from {units.duration(min(medians))} to "
            f"{units.duration(max(medians))}"
        )
    return (
        f"Median and p99 of one-way latency for {hosts[0]} to {hosts[-1]} hosts. "
        f"{'; '.join(parts)}."
    )
