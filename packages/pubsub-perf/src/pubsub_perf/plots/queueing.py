"""The centralized broker as a queue: measured latency against the prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pubsub_perf.analysis.values.results import QueueingView, QueuePoint
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.hosts_axis import hosts_axis
from pubsub_perf.plots.kind_markers import Marker, markers_of
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.queueing_captions import alert, caption, description, rates
from pubsub_perf.plots.text_layout import shortened
from pubsub_perf.plots.utilisation import LINK, PROCESSOR, Pick, utilisation_panel
from pubsub_perf.results.cell_summary import CellSummary

_LOG_FROM: Final = 30.0
_MAX_NAME: Final = 24
_LOOK: Final = style.of_model("centralized")
_PREDICTED: Final[dict[str, Any]] = {
    "color": style.INK,
    "linestyle": "-",
    "linewidth": 1.4,
}
_FIXED: Final[dict[str, Any]] = style.RING | {"marker": "s", "markersize": 14}
_PERIODIC: Final[dict[str, Any]] = {
    "color": style.MUTED,
    "linestyle": "--",
    "linewidth": 1.3,
}


def overloaded_networks(cells: Iterable[CellSummary]) -> set[str]:
    """The networks on which the machine could not keep up with the centralized model."""
    return {
        m.cell.network
        for m in cells
        if m.cell.degraded and m.cell.model == "centralized"
    }


def queueing_figure(
    view: QueueingView, overloaded: Collection[str] = ()
) -> Drawing | None:
    """The figure, or None without a prediction. ``overloaded``: networks
    on which the machine could not keep up with the centralized model."""
    points = sorted(
        (p for p in view.points if p.hosts and p.measured_mean_s is not None),
        key=lambda p: (p.hosts or 0, p.network),
    )
    if not any(p.predicted_s is not None for p in points):
        return None
    hosts = sorted({point.hosts or 0 for point in points})
    used = [p for p in points if p.cpu_utilisation or p.link_utilisation]
    markers = markers_of(point.kind for point in points)
    shown = _extent(view, points)
    texts = FrameTexts(
        "Centralized broker as a queue: measured and predicted latency",
        rates(view),
        caption(view, points),
        alert(points, overloaded),
    )
    with style.applied():
        panel_rows = [PanelRow(), *([PanelRow(height_in=1.3)] if used else [])]
        handles = _legend(points, used, markers, overloaded)
        height_in = 5.4 if used else 3.6
        frame = figure_frame(
            7.0, height_in, texts, panel_rows=panel_rows, handles=handles
        )
        top = frame.axes[0]
        latency_axis(top, "y", shown, "one-way latency", from_zero=True)
        hosts_axis(top, hosts, label=not used)
        _latencies(top, view, points, markers, shown, overloaded)
        if used:
            utilisation_panel(frame.axes[1], used, markers)
            hosts_axis(frame.axes[1], hosts, label=True)
        _full(frame.axes, view)
        frame.fit()
    return Drawing(frame.figure, description(points))


def _extent(view: QueueingView, points: Sequence[QueuePoint]) -> Extent:
    picks: tuple[Pick, ...] = (
        lambda p: p.measured_mean_s,
        lambda p: p.measured_median_s,
        lambda p: p.predicted_s,
        lambda p: p.predicted_periodic_s,
    )
    values = [v for pick in picks for v in map(pick, points) if v is not None]
    return extent([np.array(values)], log_from=_LOG_FROM)


def _latencies(
    ax: Axes,
    view: QueueingView,
    points: Sequence[QueuePoint],
    markers: dict[str, Marker],
    shown: Extent,
    overloaded: Collection[str],
) -> None:
    factor = shown.unit.per_second
    for point in points:
        mean, median = point.measured_mean_s, point.measured_median_s
        marker = markers[point.kind]
        if median is not None:
            hollow = style.mark(_LOOK, marker) | _hollow()
            ax.plot(point.hosts or 0, median * factor, linestyle="none", **hollow)
        if mean is not None:
            mark = style.mark(_LOOK, marker)
            ax.plot(point.hosts or 0, mean * factor, linestyle="none", zorder=3, **mark)
        for predicted_s, line in (
            (point.predicted_s, _PREDICTED),
            (point.predicted_periodic_s, _PERIODIC),
        ):
            if predicted_s is not None:
                ax.plot(point.hosts or 0, predicted_s * factor, **_predicted(line))
        middle = (mean or median or 0.0) * factor
        if point.calibrated:
            ax.plot(point.hosts or 0, middle, **_FIXED)
        if point.network in overloaded:
            ax.plot(point.hosts or 0, middle, **style.RING)
    low, high = ax.get_xlim()
    for points_of, line in ((view.curve, _PREDICTED), (view.curve_periodic, _PERIODIC)):
        curve = [p for p in points_of if low <= p.hosts <= high]
        if len(curve) > 1:
            ax.plot(
                [point.hosts for point in curve],
                [point.latency_s * factor for point in curve],
                zorder=2,
                **line,
            )


def _hollow() -> dict[str, Any]:
    return {
        "markerfacecolor": "white",
        "markeredgecolor": _LOOK.colour,
        "markeredgewidth": 1.3,
        "markersize": 5.5,
    }


def _predicted(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "_",
        "markersize": 13,
        "markeredgecolor": line["color"],
        "markeredgewidth": 1.8,
        "zorder": 3.5,
    }


def _full(axes: Sequence[Axes], view: QueueingView) -> None:
    if view.full_at_hosts is None:
        return
    for ax in axes:
        low, high = ax.get_xlim()
        if low <= view.full_at_hosts <= high:
            ax.axvline(
                view.full_at_hosts, color=style.INK, linewidth=0.9, linestyle="--"
            )


def _legend(
    points: Sequence[QueuePoint],
    used: Sequence[QueuePoint],
    markers: dict[str, Marker],
    overloaded: Collection[str],
) -> list[Line2D]:
    left = [
        Line2D(
            [],
            [],
            linestyle="none",
            label="measured mean",
            **style.mark(_LOOK, "o"),
        ),
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            label="measured median",
            **_hollow(),
        ),
        Line2D([], [], label="predicted mean, random arrivals", **_PREDICTED),
    ]
    if any(point.predicted_periodic_s is not None for point in points):
        label = "predicted mean, fixed intervals"
        left.append(Line2D([], [], label=label, **_PERIODIC))
    if any(point.calibrated for point in points):
        fixed = _FIXED | {"markersize": 10}
        left.append(Line2D([], [], label="prediction was fixed here", **fixed))
    if any(point.network in overloaded for point in points):
        ring = style.RING | {"markersize": 10}
        left.append(Line2D([], [], label="machine strained or saturated", **ring))
    right = []
    if any(point.cpu_utilisation is not None for point in used):
        label = "processor of the broker"
        right.append(Line2D([], [], label=label, marker="o", **PROCESSOR))
    if any(point.link_utilisation is not None for point in used):
        right.append(Line2D([], [], label="link of the broker", marker="o", **LINK))
    if len(markers) > 1:
        for kind, marker in markers.items():
            look = PROCESSOR | {"markerfacecolor": "none", "marker": marker}
            right.append(Line2D([], [], label=shortened(kind, _MAX_NAME), **look))
    rows = max(len(left), len(right))
    for column in (left, right):
        column += [Line2D([], [], linestyle="none", label=" ")] * (rows - len(column))
    return left + right
