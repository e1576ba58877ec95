"""The network of a cell: hosts by role and median latency, switches and links."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.plan.topologies import Network
from pubsub_perf.plots import style
from pubsub_perf.plots.colour_scale import colour_bar, norm_of
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.host_latencies import HostLatency, host_latencies
from pubsub_perf.plots.host_markers import SWITCH, host_mark
from pubsub_perf.plots.network_layout import Layout, layout
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.text_layout import listed
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_summary import CellSummary

_MAX_MARK_PT: Final = 15.0
_MIN_MARK_PT: Final = 3.2
# Hosts have names if they are this many points apart.
_NAMED_FROM_PT: Final = 15.0
_PANEL_IN: Final = 3.4
_PAD: Final = 0.13
# Without space for names, the marks use it.
_TIGHT_PAD: Final = 0.04
_TIGHT_FROM: Final = 64
_NAME_PT: Final = 7.0


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkView:
    """A cell in the drawing."""

    summary: CellSummary
    network: Network
    hosts: tuple[HostLatency, ...]


def topology_figure(cells: Sequence[CellSummary]) -> Drawing | None:
    """The cells of one network; None if ``cell.json`` lacks the network, or
    nothing was received."""
    network_views = [
        NetworkView(m, *found)
        for m in cells
        if len(m.ordered) and (found := host_latencies(m)) is not None
    ]
    if not network_views or len({view.network.name for view in network_views}) > 1:
        return None
    medians = [
        h.median_s for v in network_views for h in v.hosts if h.median_s is not None
    ]
    if not medians:
        return None
    norm = norm_of(np.array(medians))
    unit = units.unit_for(medians)
    drawn = [view.summary for view in network_views]
    plan = layout(network_views[0].network)
    name = drawn[0].cell.network
    texts = FrameTexts(
        f"{name}: hosts and their roles",
        style.conditions(drawn),
        [*_caption(network_views), *style.absent(cells)],
        style.alert(drawn),
    )
    with style.applied():
        width_in = 7.4 if len(network_views) > 1 else 5.4
        panel_rows = [PanelRow(len(network_views)), PanelRow(height_in=0.15)]
        handles = _legend(network_views[0])
        frame = figure_frame(
            width_in, _height(plan), texts, panel_rows=panel_rows, handles=handles
        )
        for ax, view in zip(frame.panel_rows[0], network_views, strict=True):
            counts = style.sample_count(view.summary)
            title = listed(counts, width_in / len(network_views) - 0.3, 9.0)
            title = f"{view.summary.cell.model}\n{title}"
            ax.set_title(title, fontsize=9, loc="left")
            ax.set_axis_off()
        colour_bar(frame.panel_rows[1][0], norm, unit, "median one-way latency")
        frame.fit()
        for ax, view in zip(frame.panel_rows[0], network_views, strict=True):
            _draw(ax, view, plan, norm)
    return Drawing(frame.figure, _description(network_views))


def _box(plan: Layout) -> tuple[float, float, float, float]:
    xs, ys = zip(*plan.places.values(), strict=True)
    return min(xs), max(xs), min(ys), max(ys)


def _height(plan: Layout) -> float:
    x0, x1, y0, y1 = _box(plan)
    ratio = (y1 - y0) / ((x1 - x0) or 1.0)
    return 1.4 + min(_PANEL_IN, max(1.3, _PANEL_IN * ratio))


def _frame(ax: Axes, plan: Layout) -> None:
    """Show everything in the available space, with one scale in both directions."""
    x0, x1, y0, y1 = _box(plan)
    many = len(plan.network.hosts) >= _TIGHT_FROM
    pad = (_TIGHT_PAD if many else _PAD) * max(x1 - x0, y1 - y0)
    room = ax.get_window_extent()
    each = max((x1 - x0 + 2 * pad) / room.width, (y1 - y0 + 2 * pad) / room.height)
    wide, high = each * room.width / 2, each * room.height / 2
    ax.set_xlim((x0 + x1) / 2 - wide, (x0 + x1) / 2 + wide)
    ax.set_ylim((y0 + y1) / 2 - high, (y0 + y1) / 2 + high)


def _draw(ax: Axes, view: NetworkView, plan: Layout, norm: Normalize) -> None:
    _frame(ax, plan)
    low, high = ax.transData.transform([(0, 0), (plan.spacing, 0)])
    apart_pt = float(math.dist(low, high)) * 72 / style.DPI
    size_pt = min(_MAX_MARK_PT, max(_MIN_MARK_PT, 0.72 * apart_pt))
    _links(ax, view, plan)
    switches = [plan.places[name] for name in view.network.switches]
    ax.plot(
        [x for x, _ in switches],
        [y for _, y in switches],
        zorder=2,
        **SWITCH | {"markersize": min(8.0, max(2.6, size_pt * 0.7))},
    )
    colours = colormaps[style.SCALE]
    for role in ("subscriber", "publisher", "broker"):
        for host in (h for h in view.hosts if h.role == role):
            known = host.median_s is not None
            fill = colours(float(norm(host.median_s or 0.0))) if known else "white"
            look = host_mark(host.role, size_pt) | {"markerfacecolor": fill}
            ax.plot(*plan.places[host.host], zorder=3, **look)
    if apart_pt >= _NAMED_FROM_PT:
        _names(ax, view, plan, size_pt)


def _links(ax: Axes, view: NetworkView, plan: Layout) -> None:
    limited = cell_fields.number(view.summary.cell.meta, "parameters", "bandwidth_mbit")
    for shaped in (False, True):
        links = [link for link in view.network.links if link.shaped is shaped]
        thick = shaped and limited is not None and not all_shaped(view.network)
        lines = [[plan.places[end] for end in link.ends] for link in links]
        ax.add_collection(
            LineCollection(
                lines,
                colors=style.INK if thick else style.FAINT,
                linewidths=2.4 if thick else 0.7,
                zorder=1,
            )
        )


def all_shaped(network: Network) -> bool:
    """Whether every link has the requested bandwidth."""
    return all(link.shaped for link in network.links)


def _names(ax: Axes, view: NetworkView, plan: Layout, size_pt: float) -> None:
    above = {link.ends[1]: plan.places[link.ends[0]] for link in view.network.links}
    for host in view.hosts:
        x, y = plan.places[host.host]
        from_x, from_y = above[host.host]
        away = np.array([x - from_x, y - from_y])
        if view.network.kind == "tree":
            away = np.array([0.0, -1.0])
        dx, dy = away / (np.hypot(*away) or 1.0)
        half_wide_pt = 0.32 * _NAME_PT * len(host.host)
        # A triangle's corners reach farther than a circle.
        reach_pt = size_pt * 0.75 + 0.5 * _NAME_PT + 1
        ax.annotate(
            host.host,
            (x, y),
            xytext=(dx * (reach_pt + half_wide_pt - 3), dy * reach_pt),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_NAME_PT,
            color=style.MUTED,
        )


def _legend(view: NetworkView) -> list[Line2D]:
    handles = []
    for role in ("broker", "publisher", "subscriber"):
        count = sum(host.role == role for host in view.hosts)
        label = role if count == 1 else f"{count} {role}s"
        fill = "white" if role == "broker" else style.FAINT
        look = host_mark(role, 9.0) | {"markerfacecolor": fill}
        handles.append(Line2D([], [], label=label, **look))
    count = len(view.network.switches)
    label = counted(count, "switch", "switches")
    handles.append(Line2D([], [], label=label, **SWITCH | {"markersize": 6}))
    limited = cell_fields.number(view.summary.cell.meta, "parameters", "bandwidth_mbit")
    if limited is not None and not all_shaped(view.network):
        label = f"link of {limited:g} Mbit/s"
        handles.append(Line2D([], [], color=style.INK, linewidth=2.4, label=label))
    return handles


def _caption(network_views: Sequence[NetworkView]) -> list[str]:
    lines = [
        "Fill: median latency of the events that a subscriber received, or that were "
        "received of a publisher."
    ]
    if len(network_views) > 1:
        lines.append("One scale for both.")
    if any(
        h.median_s is None for v in network_views for h in v.hosts if h.role != "broker"
    ):
        lines.append("White: no samples.")
    return lines


def _description(network_views: Sequence[NetworkView]) -> str:
    parts = []
    for view in network_views:
        worst = max(
            (host for host in view.hosts if host.median_s is not None),
            key=lambda host: host.median_s or 0.0,
        )
        parts.append(
            f"{view.summary.cell.model}: slowest is {worst.role} {worst.host} with a "
            f"median of {units.duration(worst.median_s)}"
        )
    network = network_views[0].network
    return (
        f"Drawing of {network.name}: {len(network.hosts)} hosts and "
        f"{counted(len(network.switches), 'switch', 'switches')}. "
        f"{'; '.join(parts)}."
    )
