"""The throughput of all systems as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pubsub_common.errors import ConfigError

# Ours in blue, the yardstick in grey, peers in colours that the colour-blind can tell
# apart (Okabe and Ito).
_COLOURS: Final = {
    "pubsub, batches": "#0b4f8a",
    "pubsub": "#56a0d3",
    "raw": "#b0b0b0",
    "nats": "#009e73",
    "mosquitto": "#cc79a7",
    "redis": "#d55e00",
    "zenoh": "#e69f00",
    "zenoh-shm": "#f0e442",
}


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw the throughput rows of ``--out`` as a PNG at ``path``.

    Raises:
        ConfigError: there are none.
    """
    rows = [row for row in found.get("rows", ()) if row["measure"] == "throughput"]
    if not rows:
        raise ConfigError(
            "this holds no throughput of peers: make it with make bench-peers"
        )
    subscribers = sorted({row["subscribers"] for row in rows})
    figure = Figure(figsize=(10, 3.4 * len(subscribers)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(subscribers), 2, squeeze=False, sharey=True)
    for line, count in zip(grid, subscribers, strict=True):
        for axes, brokered in zip(line, (False, True), strict=True):
            chosen = [
                row
                for row in rows
                if row["subscribers"] == count and row["brokered"] == brokered
            ]
            _panel(axes, chosen)
            route = "through a broker" if brokered else "direct"
            plural = "" if count == 1 else "s"
            axes.set_title(
                f"{route}, {count} subscriber{plural}", loc="left", fontsize=10
            )
    figure.suptitle(
        "Events per second of one subscriber (log scale)", x=0.01, ha="left"
    )
    handles = {
        handle.get_label(): handle for axes in grid.flat for handle in axes.containers
    }
    ordered = [name for name in _COLOURS if name in handles]
    figure.legend(
        [handles[name] for name in ordered],
        ordered,
        loc="outside lower center",
        ncols=len(ordered),
        frameon=False,
        fontsize=8,
    )
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [name for name in _COLOURS if any(name in row["values"] for row in rows)]
    width = 0.8 / max(1, len(names))
    for place, name in enumerate(names):
        at = [x for x, row in enumerate(rows) if name in row["values"]]
        axes.bar(
            [x + (place - (len(names) - 1) / 2) * width for x in at],
            [rows[x]["values"][name] for x in at],
            width,
            label=name,
            color=_COLOURS[name],
        )
    axes.set_yscale("log")
    axes.set_xticks(
        range(len(rows)), [f"{row['payload_bytes']:,} B" for row in rows], fontsize=9
    )
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
