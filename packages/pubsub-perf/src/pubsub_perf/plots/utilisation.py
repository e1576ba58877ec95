"""The utilisation of the centralized broker, under the figure of its latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pubsub_perf.analysis.values.results import QueuePoint
from pubsub_perf.plots import style
from pubsub_perf.plots.kind_markers import Marker

_COLOUR: Final = style.of_model("centralized").colour
PROCESSOR: Final[dict[str, Any]] = {
    "linestyle": "none",
    "markersize": 5.5,
    "markerfacecolor": _COLOUR,
    "markeredgecolor": _COLOUR,
}
LINK: Final[dict[str, Any]] = PROCESSOR | {
    "markerfacecolor": "white",
    "markeredgecolor": style.of_model("decentralized").colour,
}

Pick = Callable[[QueuePoint], float | None]


def utilisation_panel(
    ax: Axes, points: Sequence[QueuePoint], markers: dict[str, Marker]
) -> None:
    """The utilisation of the broker's processor and link."""
    series: tuple[tuple[Pick, dict[str, Any]], ...] = (
        (lambda p: p.cpu_utilisation, PROCESSOR),
        (lambda p: p.link_utilisation, LINK),
    )
    highest = 1.0
    for pick, look in series:
        for point in points:
            value = pick(point)
            if value is None:
                continue
            highest = max(highest, value)
            ax.plot(point.hosts or 0, value, marker=markers[point.kind], **look)
    ax.axhline(1.0, color=style.INK, linewidth=0.9, linestyle=":")
    ax.set_ylim(0, 1.12 * highest)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.set_ylabel("utilisation")
    ax.grid(visible=True, axis="y")
