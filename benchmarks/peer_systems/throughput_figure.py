"""The throughput of all systems as a figure: a dot for each, with the range of its repetitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pubsub_common.errors import ConfigError
from pubsub_common.files import write_atomically
from pubsub_perf.plots import style
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.output import Drawing

_WIDTH_IN: Final = 9.0
_PANEL_IN: Final = 2.9


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """How a system is drawn: marks differ, so that they can be told apart in grey, too."""

    colour: str
    marker: str
    filled: bool = True

    @property
    def mark(self) -> dict[str, Any]:
        return {
            "linestyle": "none",
            "marker": self.marker,
            "markersize": 7.0,
            "markerfacecolor": self.colour if self.filled else "white",
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.3,
        }


# Ours in blue and filled, the yardstick in grey, peers hollow in colours that the
# colour-blind can tell apart (Okabe and Ito).
LOOKS: Final = {
    "pubsub, batches": Look("#0b4f8a", "o"),
    "pubsub": Look("#0b4f8a", "s"),
    "raw": Look("#6e6e6e", "X"),
    "nats": Look("#007a59", "^", filled=False),
    "mosquitto": Look("#a8477f", "v", filled=False),
    "redis": Look("#b34e00", "D", filled=False),
    "zenoh": Look("#a06e00", "P", filled=False),
    "zenoh-shm": Look("#5c5200", "*", filled=False),
}


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw the throughput rows of ``--out`` as a PNG at ``path``.

    Raises:
        ConfigError: there are none.
    """
    write_atomically(path, drawing_of(found).render("png"), follow_link=False)


def drawing_of(found: Mapping[str, Any]) -> Drawing:
    """The figure of the results in ``--out``.

    Raises:
        ConfigError: there is no throughput in it.
    """
    rows = [row for row in found.get("rows", ()) if row["measure"] == "throughput"]
    if not rows:
        raise ConfigError(
            "this holds no throughput of peers: make it with make bench-peers"
        )
    subscribers = sorted({row["subscribers"] for row in rows})
    names = [name for name in LOOKS if any(name in row["values"] for row in rows)]
    texts = FrameTexts(
        "Events per second of one subscriber, against the size of an event",
        f"Median of {found.get('repetitions', 'several')} repetitions; higher is better",
        _caption(found, rows, names),
    )
    with style.applied():
        handles = [Line2D([], [], label=name, **LOOKS[name].mark) for name in names]
        frame = figure_frame(
            _WIDTH_IN,
            0.5 + _PANEL_IN * len(subscribers),
            texts,
            panel_rows=[PanelRow(2)] * len(subscribers),
            handles=handles,
        )
        ends = [
            end for row in rows for name in row["values"] for end in _range(row, name)
        ]
        for line, count in zip(frame.panel_rows, subscribers, strict=True):
            for axes, brokered in zip(line, (False, True), strict=True):
                chosen = [
                    row
                    for row in rows
                    if row["subscribers"] == count and row["brokered"] == brokered
                ]
                _panel(axes, chosen, names)
                axes.set_ylim(0.8 * min(ends), 1.25 * max(ends))
                route = "through a broker" if brokered else "direct"
                plural = "" if count == 1 else "s"
                axes.set_title(
                    f"{route}, {count} subscriber{plural}", loc="left", fontsize=9
                )
            line[0].set_ylabel("events/s (log scale)")
            line[1].tick_params(axis="y", labelleft=False)
        frame.fit()
    return Drawing(frame.figure, "Throughput of all systems.")


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    here = [name for name in names if any(name in row["values"] for row in rows)]
    for x, row in enumerate(rows):
        for place, name in enumerate(here):
            if name not in row["values"]:
                continue
            look = LOOKS[name]
            at = x + (place - (len(here) - 1) / 2) * 0.8 / max(1, len(here))
            low, high = _range(row, name)
            axes.plot([at, at], [low, high], color=look.colour, linewidth=1.6)
            axes.plot([at], [row["values"][name]], zorder=3, **look.mark)
    for between in range(1, len(rows)):
        axes.axvline(between - 0.5, color=style.GRID, linewidth=0.8)
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_xticks(
        range(len(rows)), [f"{row['payload_bytes']:,} B" for row in rows], fontsize=9
    )
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")


def _range(row: Mapping[str, Any], name: str) -> tuple[float, float]:
    """The smallest and the largest repetition. Older files have only how far these are
    apart: then as far to both sides of the median."""
    value = row["values"][name]
    if name in row.get("ranges", {}):
        low, high = row["ranges"][name]
        return low, high
    half = min(0.95, row.get("spreads", {}).get(name, 0.0) / 2)
    return value * (1 - half), value * (1 + half)


def _caption(
    found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[str]:
    if all(row.get("ranges") for row in rows):
        yield "Lines: from the slowest to the fastest repetition."
    else:
        yield "Lines: as long as the repetitions are apart, half of it to each side."
    for brokered, route in ((False, "Direct"), (True, "Through a broker")):
        of_route = [row for row in rows if row["brokered"] == brokered]
        missing = [_missing(name, of_route) for name in names]
        if of_route and any(missing):
            yield f"{route} there is no mark of {'; '.join(filter(None, missing))}."
    for name, reason in found.get("missing", {}).items():
        yield f"Without {name}: {reason}."


def _missing(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Where a system has no mark, and why."""
    sizes = [f"{r['payload_bytes']:,} B" for r in rows if name not in r["values"]]
    if len(sizes) == len(rows):
        return f"{name}, which has no such route"
    at = ", ".join(dict.fromkeys(sizes))
    return f"{name} at {at}, which was not measured" if at else ""
