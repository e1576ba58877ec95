"""The axis of the number of hosts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

# Linear where possible: on it a straight line is linear growth.
_LOG_FROM: Final = 50.0
_TICK_DISTANCE: Final = 0.055


def hosts_axis(
    ax: Axes,
    hosts: Sequence[int],
    *,
    label: bool,
    tick_distance: float = _TICK_DISTANCE,
) -> None:
    """Set scale, limits and ticks of the x axis for these numbers of hosts, ascending;
    each has a tick if there is space (a share of the axis) for its label."""
    low, high = hosts[0], hosts[-1]
    log = high > _LOG_FROM * low
    position: Callable[[float], float] = math.log if log else float
    if log:
        ax.set_xscale("log")
    span = position(high) - position(low)
    ticks = [high]
    for count in reversed(hosts[:-1]):
        if position(ticks[-1]) - position(count) >= tick_distance * span:
            ticks.append(count)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    pad = 0.06 * span or 1.0
    if log:
        ax.set_xlim(low * math.exp(-pad), high * math.exp(pad))
    else:
        ax.set_xlim(low - pad, high + pad)
    if label:
        ax.set_xlabel("hosts (log scale)" if log else "hosts")
