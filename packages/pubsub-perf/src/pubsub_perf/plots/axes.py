"""Latency axes: unit, scale, limits and ticks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.units import Unit

# On a linear axis of a wider range, a few outliers make the box as thin as a line.
_LOG_FROM: Final = 10.0
# A log axis cannot show 0; anything below a picosecond is not a latency either.
_SMALLEST_S: Final = 1e-12


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """The smallest and largest value on an axis."""

    low_s: float
    high_s: float
    log: bool
    hidden: int
    unit: Unit

    def scaled(self, values_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values that this axis can show, in its unit."""
        shown = values_s[values_s >= _SMALLEST_S] if self.log else values_s
        return np.asarray(shown * self.unit.per_second)

    def note(self) -> list[str]:
        """A note on values that the axis cannot show."""
        if not self.hidden:
            return []
        values = counted(self.hidden, "value", grouped=True)
        return [f"{values} of 0 or less cannot be drawn on a log axis."]


def extent(
    groups: Iterable[NDArray[np.float64]], *, log_from: float = _LOG_FROM
) -> Extent:
    """The extent of these values in seconds, at least one in all. The axis is
    logarithmic when the largest is more than ``log_from`` times the smallest that a
    log axis can show."""
    values = np.concatenate(list(groups))
    positive = values[values >= _SMALLEST_S]
    low, high = float(values.min()), float(values.max())
    if len(positive) and high > log_from * float(positive.min()):
        hidden = len(values) - len(positive)
        low, high = float(positive.min()), float(positive.max())
        unit = units.unit_for([low, float(np.median(positive)), high])
        return Extent(low, high, True, hidden, unit)
    unit = units.unit_for([low, float(np.median(values)), high])
    return Extent(low, high, False, 0, unit)


def latency_axis(
    ax: Axes,
    which: Literal["x", "y"],
    shown: Extent,
    name: str,
    *,
    from_zero: bool = False,
) -> None:
    """Set scale, limits, ticks and label of one axis. ``from_zero``: a linear axis
    always begins at 0, so that ratios are visible."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    set_limits = ax.set_xlim if which == "x" else ax.set_ylim
    factor = shown.unit.per_second
    low, high = shown.low_s * factor, shown.high_s * factor
    if shown.log:
        (ax.set_xscale if which == "x" else ax.set_yscale)("log")
        set_limits(*_log_limits(low, high))
        _log_ticks(ax, which, math.log10(high / low))
    else:
        set_limits(*_linear_limits(low, high, from_zero))
        axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(_plain))
    scale = ", log scale" if shown.log else ""
    axis.set_label_text(f"{name} ({shown.unit.name}{scale})")
    ax.grid(visible=True, axis=which)


def colour_ticks(
    ax: Axes, low_s: float, high_s: float, unit: Unit, *, log: bool
) -> None:
    """Ticks of a horizontal colour bar for values in seconds, shown in ``unit``."""
    factor = unit.per_second
    if log:
        decades = math.log10(high_s / low_s)
        subs = (1.0, 2.0, 5.0) if decades < 2.6 else (1.0,)
        locator: Locator = LogLocator(subs=subs, numticks=12)
    else:
        locator = MaxNLocator(6)
    ticks = list(locator.tick_values(low_s * factor, high_s * factor))
    ticks = [t for t in ticks if low_s * factor <= t <= high_s * factor]
    if log and len(ticks) < 2:
        ticks = [low_s * factor, high_s * factor]
    ax.xaxis.set_major_locator(FixedLocator([t / factor for t in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value * factor:,.4g}")
    )


def _log_limits(low: float, high: float) -> tuple[float, float]:
    pad = max(1.12, (high / low) ** 0.05)
    return low / pad, high * pad


def _linear_limits(low: float, high: float, from_zero: bool) -> tuple[float, float]:
    if low >= 0 and high > 0 and (from_zero or high >= 2 * low):
        return 0.0, high * 1.06
    pad = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def _log_ticks(ax: Axes, which: Literal["x", "y"], decades: float) -> None:
    axis = ax.xaxis if which == "x" else ax.yaxis
    if decades < 0.8:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_minor_locator(MaxNLocator(20))
    else:
        labelled = (1.0, 2.0, 5.0) if decades < 2.6 else (1.0,)
        axis.set_major_locator(LogLocator(subs=labelled, numticks=12))
        axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=12))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _position: int | None = None) -> str:
    return f"{value:,.10g}"
