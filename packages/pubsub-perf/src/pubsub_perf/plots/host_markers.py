"""The marks of hosts and switches in the drawing of a network."""

from __future__ import annotations

from typing import Any, Final

from pubsub_perf.plots import style
from pubsub_perf.plots.host_latencies import Role

_MARKERS: Final[dict[Role, str]] = {
    "broker": "*",
    "publisher": "^",
    "subscriber": "o",
}
_EDGES: Final[dict[Role, str]] = {
    "broker": style.INK,
    "publisher": "#d55e00",
    "subscriber": style.INK,
}
SWITCH: Final[dict[str, Any]] = {
    "linestyle": "none",
    "marker": "s",
    "markerfacecolor": style.MUTED,
    "markeredgecolor": style.MUTED,
}


def host_mark(role: Role, size_pt: float) -> dict[str, Any]:
    """Arguments of a line for a host of this role, about this large."""
    bigger = {"broker": max(1.5, 9 / size_pt), "publisher": 1.1, "subscriber": 1.0}
    return {
        "linestyle": "none",
        "marker": _MARKERS[role],
        "markersize": size_pt * bigger[role],
        "markeredgecolor": _EDGES[role],
        "markeredgewidth": min(1.2, 0.3 + size_pt / 12),
    }
