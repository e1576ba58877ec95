"""The lateness of publishers against the number of hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pubsub_perf import units
from pubsub_perf.plots import style
from pubsub_perf.plots.axes import Extent, extent, latency_axis
from pubsub_perf.plots.figure_frame import FrameTexts, figure_frame
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import shortened
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.publisher_lateness import Lateness, lateness_of

_SMALLEST_S: Final = 1e-7
_MAX_NAMES: Final = 24
_MAX_NAME: Final = 22


def lateness_figure(cells: Sequence[CellSummary]) -> Drawing | None:
    """The figure, or None with lateness in fewer than two cells."""
    found = lateness_of(m.cell for m in cells)
    if len(found) < 2:
        return None
    drawn = [m for m in cells if any(lateness.cell is m.cell for lateness in found)]
    known = (v for f in found for v in (f.p50_s, f.p99_s, f.max_s) if v is not None)
    values = [max(v, _SMALLEST_S) for v in known]
    shown = extent([np.array(values)], log_from=20)
    texts = FrameTexts(
        "Lateness of publishers against their schedule",
        style.common_load(drawn),
        [
            "Mark: p50. Bar: up to p99, from 100 events on. Dash: the latest of all. "
            "Latency begins when an event is sent, so it does not include lateness.",
        ],
        style.alert(drawn),
    )
    networks = list(dict.fromkeys(lateness.cell.network for lateness in found))
    with style.applied():
        frame = figure_frame(7.0, 3.9, texts, handles=_legend(found))
        (ax,) = frame.axes
        latency_axis(ax, "y", shown, "lateness", from_zero=True)
        for lateness in found:
            _draw(ax, lateness, networks.index(lateness.cell.network), shown)
        step = -(-len(networks) // _MAX_NAMES)
        at = range(0, len(networks), step)
        names = [networks[i] for i in at]
        ax.set_xticks(
            list(at), [shortened(n, _MAX_NAME) for n in names], rotation=90, fontsize=8
        )
        ax.set_xlim(-0.6, len(networks) - 0.4)
        frame.fit()
    return Drawing(frame.figure, _description(found))


def _draw(ax: Axes, lateness: Lateness, place: int, shown: Extent) -> None:
    look = style.of_model(lateness.cell.model)
    aside = {"centralized": -0.17, "decentralized": 0.17}.get(lateness.cell.model, 0.0)
    x = place + aside
    tail_s = lateness.p50_s if lateness.p99_s is None else lateness.p99_s
    p50, p99, largest = (
        max(value, shown.low_s) * shown.unit.per_second
        for value in (lateness.p50_s, tail_s, lateness.max_s)
    )
    bar: dict[str, Any] = {"color": look.colour, "linewidth": 1.4}
    ax.plot([x, x], [p50, p99], linestyle=look.line, **bar)
    ax.plot([x], [largest], **_largest(look))
    ax.plot([x], [p50], linestyle="none", zorder=3, **_mark(look))
    if lateness.cell.degraded:
        ax.plot([x], [p50], **style.RING | {"markersize": 12})


def _mark(look: style.ModelStyle) -> dict[str, Any]:
    return style.mark(look, look.marker) | {"markersize": 5.5}


def _largest(look: style.ModelStyle) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "_",
        "markersize": 8,
        "markeredgecolor": look.colour,
        "markeredgewidth": 1.4,
    }


def _legend(found: Sequence[Lateness]) -> list[Line2D]:
    handles = []
    for model in sorted({lateness.cell.model for lateness in found}):
        look = style.of_model(model)
        of_model = [lateness for lateness in found if lateness.cell.model == model]
        tails = [x.p99_s for x in of_model if x.p99_s is not None]
        worst = max(tails, default=None)
        handles.append(
            Line2D(
                [],
                [],
                color=look.colour,
                linestyle=look.line,
                linewidth=1.4,
                label=f"{model}\nhighest p99: {units.duration(worst)}",
                **_mark(look),
            )
        )
    return handles


def _description(found: Sequence[Lateness]) -> str:
    parts = [
        f"{lateness.cell.model} on {lateness.cell.network}: p50 {units.duration(lateness.p50_s)}, "
        f"p99 {units.duration(lateness.p99_s)}, latest {units.duration(lateness.max_s)}"
        for lateness in found
    ]
    return f"Lateness of publishers. {'; '.join(parts)}."
