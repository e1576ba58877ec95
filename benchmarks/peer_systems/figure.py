"""The table of the peers as a figure: a dot for each median, with the range of its repetitions."""

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
from pubsub_perf.bench.in_turn.cells import (
    ASYNCIO,
    BLOCK,
    LIST,
    RECEIVE,
    SHARED,
    VIEWS,
    size_text,
)
from pubsub_perf.bench.systems import OURS
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
            "markersize": 6.0,
            "markerfacecolor": self.colour if self.filled else "white",
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.3,
        }


# Ours in blue and filled, peers hollow in colours that the
# colour-blind can tell apart (Okabe and Ito).
LOOKS: Final = {
    LIST: Look("#0b4f8a", "o"),
    OURS: Look("#0b4f8a", "s"),
    RECEIVE: Look("#0b4f8a", "<"),
    ASYNCIO: Look("#0b4f8a", ">"),
    BLOCK: Look("#4f94cd", "p"),
    VIEWS: Look("#4f94cd", "d"),
    SHARED: Look("#4f94cd", "h"),
    "nats": Look("#007a59", "^", filled=False),
    "mosquitto": Look("#a8477f", "v", filled=False),
    "redis": Look("#b34e00", "D", filled=False),
    "zenoh": Look("#a06e00", "P", filled=False),
    "zenoh-shm": Look("#5c5200", "*", filled=False),
}
# Drawn for latency only; their rates are in the table.
_CALLS: Final = (RECEIVE, ASYNCIO)
# The line of plain pyzmq.
_LEVEL: Final = "#6e6e6e"
_ROUTES: Final = {"direct": "direct", "brokered": "through a broker"}

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Band:
    """A row of panels: the rows of the table in it, a title, and the label of its axis."""

    rows: tuple[Row, ...]
    title: str
    label: str
    names: tuple[str, ...]


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw the results of ``--out`` as a PNG at ``path``.

    Raises:
        ConfigError: there is nothing to draw.
    """
    write_atomically(path, drawing_of(found).render("png"), follow_link=False)


def drawing_of(found: Mapping[str, Any]) -> Drawing:
    """The figure of the results in ``--out``.

    Raises:
        ConfigError: there is nothing to draw.
    """
    bands = list(_bands(found.get("rows", ())))
    if not bands:
        raise ConfigError("this holds no results: make them with make bench-peers")
    rows = [row for band in bands for row in band.rows]
    names = [name for name in LOOKS if any(name in row["ratios"] for row in rows)]
    texts = FrameTexts(
        "All systems against plain pyzmq, in the same round",
        f"Median of at least {found.get('repetitions', 'several')} rounds, with the range from "
        "the lowest to the highest",
        _caption(found),
    )
    with style.applied():
        handles = [Line2D([], [], label=name, **LOOKS[name].mark) for name in names]
        frame = figure_frame(
            _WIDTH_IN,
            0.5 + _PANEL_IN * len(bands),
            texts,
            panel_rows=[PanelRow(2)] * len(bands),
            handles=handles,
        )
        for axes, band in zip(frame.panel_rows, bands, strict=True):
            _band(axes, band)
        frame.fit()
    return Drawing(frame.figure, "Throughput and latency of all systems.")


def _bands(rows: Sequence[Row]) -> Iterator[Band]:
    """Throughput for each number of subscribers, then latency."""
    singles = tuple(name for name in LOOKS if name not in _CALLS)
    rates = [row for row in rows if row["metric"] == "rate"]
    for count in sorted({row["cell"]["subscribers"] for row in rates}):
        chosen = tuple(row for row in rates if row["cell"]["subscribers"] == count)
        title = f"events/s, {_subscribers(count)}"
        yield Band(chosen, title, "ratio; higher is better", singles)
    timed = tuple(row for row in rows if row["metric"] == "p50_us")
    if timed:
        yield Band(timed, "p50 felt", "ratio; lower is better", tuple(LOOKS))


def _band(line: Sequence[Axes], band: Band) -> None:
    """Both routes side by side, with one scale."""
    # Dots that are not drawn do not stretch the scale.
    ends = [
        value[end]
        for row in band.rows
        for name, value in row["ratios"].items()
        if name in band.names
        for end in ("lowest", "highest")
    ]
    for axes, (route, words) in zip(line, _ROUTES.items(), strict=True):
        rows = [row for row in band.rows if row["cell"]["route"] == route]
        _panel(axes, rows, band.names)
        axes.set_ylim(0.8 * min(ends, default=1.0), 1.25 * max(ends, default=1.0))
        axes.set_title(f"{words}, {band.title}", loc="left", fontsize=9)
    line[0].set_ylabel(band.label)
    line[1].tick_params(axis="y", labelleft=False)


def _panel(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axhline(1.0, color=_LEVEL, linewidth=1.2, zorder=1)
    axes.yaxis.set_minor_formatter(NullFormatter())
    for x, row in enumerate(rows):
        # Each cell has its own lines: those that are not measured in it take no room.
        here = [name for name in names if name in row["ratios"]]
        for place, name in enumerate(here):
            look, value = LOOKS[name], row["ratios"][name]
            at = x + (place - (len(here) - 1) / 2) * 0.84 / max(1, len(here))
            ends = [value["lowest"], value["highest"]]
            axes.plot([at, at], ends, color=look.colour, linewidth=1.6)
            axes.plot([at], [value["median"]], zorder=3, **look.mark)
    for between in range(1, len(rows)):
        axes.axvline(between - 0.5, color=style.GRID, linewidth=0.8)
    axes.set_xlim(-0.5, max(1, len(rows)) - 0.5)
    labels = [_label(row["cell"]) for row in rows]
    axes.set_xticks(range(len(rows)), labels, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")


def _label(cell: Mapping[str, Any]) -> str:
    """Below the dots of a cell; the number of subscribers is in the title of throughput."""
    size = size_text(cell["payload_bytes"])
    if not cell["rate"]:
        return size
    return f"{size}\n{cell['rate']:,.0f}/s\n{_subscribers(cell['subscribers'])}"


def _subscribers(count: int) -> str:
    return "1 subscriber" if count == 1 else f"{count} subscribers"


def _caption(found: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "The line at 1 is plain pyzmq, direct and through zmq.proxy. The scale is logarithmic. "
        "p50 felt: from before the publish call to after the receive call. A system without a "
        "mark does not have this route, or this kind of call."
    )
    for name, reason in found.get("missing", {}).items():
        yield f"Without {name}: {reason}."
