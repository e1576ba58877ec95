"""The figure: events a second and clients a broker, before and after the kill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.figure import Figure

from broker_failover.samples import Run
from pubsub_perf.plots import style
from pubsub_perf.plots.output import Drawing

_INCHES: Final = (8.0, 5.0)
_LINES: Final = ("-", "--", "-.", ":")
_COLOURS: Final = (style.ALERT, "#0a4a80", "#d55e00", style.MUTED)


def draw(runs: Sequence[Run]) -> Drawing:
    """One column for each run."""
    with style.applied():
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots(2, len(runs), squeeze=False, sharex=True, sharey="row")
        for column, run in enumerate(runs):
            _events(axes[0][column], run)
            _clients(axes[1][column], run)
        axes[0][0].set_ylabel("events received a second")
        axes[1][0].set_ylabel("clients of each broker")
    total = runs[0].total
    said = (
        f"Above: events that {total} clients receive a second; below: how many clients each "
        "broker has. At 0 s the broker that has all of them is killed."
    )
    return Drawing(figure, said)


def _events(ax: Any, run: Run) -> None:
    ax.set_title(run.model)
    ax.plot(*zip(*run.received, strict=True), color=style.INK, linewidth=1)
    _frame(ax)


def _clients(ax: Any, run: Run) -> None:
    for number, (name, counts) in enumerate(run.clients.items()):
        there = [(at_s, float("nan") if n is None else n) for at_s, n in counts]
        ax.plot(
            *zip(*there, strict=True),
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_LINES[number % len(_LINES)],
            label=name,
        )
    ax.set_xlabel("seconds since the broker was killed")
    ax.legend()
    _frame(ax)


def _frame(ax: Any) -> None:
    ax.axvline(0.0, color=style.ALERT, linewidth=0.8)
    ax.set_ylim(bottom=0)
    ax.grid(axis="y")
