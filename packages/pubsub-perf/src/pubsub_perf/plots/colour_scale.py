"""Latency as colour: one scale for all compared values, and its bar."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from numpy.typing import NDArray

from pubsub_perf.plots import style
from pubsub_perf.plots.axes import colour_ticks
from pubsub_perf.units import Unit

_LOG_FROM: Final = 4.0


def norm_of(values_s: NDArray[np.float64]) -> Normalize:
    """The scale that holds these values in seconds, at least one."""
    low, high = float(values_s.min()), float(values_s.max())
    if low > 0 and high > _LOG_FROM * low:
        return LogNorm(low, high)
    if low == high:
        pad = 0.1 * abs(low) or 1.0
        return Normalize(low - pad, high + pad)
    return Normalize(low, high)


def colour_bar(ax: Axes, norm: Normalize, unit: Unit, name: str) -> None:
    """Fill ``ax`` with the horizontal scale."""
    scale = colormaps[style.SCALE]
    bar = Colorbar(ax, norm=norm, cmap=scale, orientation="horizontal")
    bar.outline.set_visible(False)
    log = isinstance(norm, LogNorm)
    colour_ticks(ax, norm.vmin or 0.0, norm.vmax or 1.0, unit, log=log)
    ax.set_xlabel(f"{name} ({unit.name}{', log scale' if log else ''})")
