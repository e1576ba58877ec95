"""The style of every figure: the same on any machine, in colour or in black and white.

Models differ in colour, line, hatch and in whether marks are filled; kinds of networks
differ in the shape of marks. The two colours differ in lightness, too, and are
distinguishable with any colour vision (after Okabe and Ito).
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import matplotlib

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.plots.kind_markers import Marker
from pubsub_perf.results.cell_summary import CellSummary

Line = Literal["-", "--", "-."]

DPI: Final = 150
INK: Final = "#1c1c1c"
MUTED: Final = "#555555"
GRID: Final = "#d9d9d9"
FAINT: Final = "#b4b4b4"
SHADE: Final = "#ececec"
ALERT: Final = "#9c2c00"
# On top of a dark colour of the scale, on any paper.
ON_DARK: Final = "#fefefe"
# Even in lightness, so that it is readable in black and white, too.
SCALE: Final = "cividis"

_SETTINGS: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # A network's name may hold a "$".
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.hashsalt": "pubsub-perf",  # Otherwise ids in SVG are random.
}


@dataclasses.dataclass(frozen=True, slots=True)
class ModelStyle:
    """The style of one model. ``points`` is the colour of marks that are drawn as one picture,
    which is the same on white and on dark paper."""

    colour: str
    points: str
    tint: str
    line: Line
    hatch: str
    marker: str
    filled: bool

    @property
    def face(self) -> str:
        """The fill of this model's marks."""
        return self.colour if self.filled else "white"


_MODELS: Final = {
    "centralized": ModelStyle("#0a4a80", "#3d86c6", "#c6d9ea", "-", "////", "o", True),
    "decentralized": ModelStyle(
        "#d55e00", "#e27a22", "#fce4d2", "--", "||", "s", False
    ),
}
_OTHER_MODEL: Final = ModelStyle(
    "#4d4d4d", "#808080", "#e4e4e4", "-.", "xxx", "D", True
)

# Around the mark of a cell on an overloaded machine.
RING: Final[dict[str, Any]] = {
    "marker": "o",
    "markersize": 15,
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 1.1,
    "linestyle": "none",
}


def of_model(model: str) -> ModelStyle:
    """The style of a model; unknown models share one style."""
    return _MODELS.get(model, _OTHER_MODEL)


def mark(look: ModelStyle, marker: Marker) -> dict[str, Any]:
    """Arguments of a line for marks of this model."""
    return {
        "marker": marker,
        "markersize": 7.5,
        "markerfacecolor": look.face,
        # A white rim keeps filled marks apart where they overlap.
        "markeredgecolor": "white" if look.filled else look.colour,
        "markeredgewidth": 0.8 if look.filled else 1.5,
    }


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw in this style, independent of the user's matplotlibrc."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Characters that the font lacks become boxes, without a failure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def sample_count(summary: CellSummary) -> list[str]:
    """``n = 396``, ``4 lost of 400``, and whether the machine was overloaded."""
    statistics = summary.statistics
    count = f"n = {statistics.count:,}"
    if len(summary.cell.pooled) > 1:
        count += f" in {len(summary.cell.pooled)} runs"
    if summary.warmup:
        count += f" after {summary.warmup:,} warm-up"
    lines = [count, units.loss(statistics.lost, statistics.expected)]
    if summary.cell.degraded:
        lines.append(f"\N{WARNING SIGN} machine {summary.cell.fidelity}")
    return lines


def alert(cells: Iterable[CellSummary]) -> str:
    """A warning if the machine could not keep up."""
    degraded = [m.cell for m in cells if m.cell.degraded and len(m.ordered)]
    if not degraded:
        return ""
    by_verdict: dict[str, list[str]] = {}
    for cell in degraded:
        by_verdict.setdefault(cell.fidelity or "", []).append(cell.model)
    parts = []
    for verdict, models in by_verdict.items():
        names = " and ".join(sorted(set(models)))
        which = "" if len(models) == len(set(models)) else f" in {len(models)} cells"
        parts.append(f"{verdict} ({names}{which})")
    return (
        f"\N{WARNING SIGN} Machine {', '.join(parts)}: these latencies describe "
        "the machine more than the network."
    )


def absent(cells: Iterable[CellSummary]) -> list[str]:
    """A sentence on the cells without samples."""
    names = []
    for summary in cells:
        if not len(summary.ordered):
            cell = summary.cell
            why = "failed" if cell.failed else "no samples"
            names.append(f"{cell.model} on {cell.network} ({why})")
    return [f"Not shown: {', '.join(names)}."] if names else []


def common_load(cells: Sequence[CellSummary]) -> str:
    """The load of these cells in a sentence, or that it differs."""
    loads = {m.load for m in cells}
    return loads.pop() if len(loads) == 1 else "The load differs between cells."


def conditions(cells: Sequence[CellSummary]) -> str:
    """The common conditions of these cells: hosts, roles, load."""
    parts = []
    hosts = {m.cell.hosts for m in cells}
    if len(hosts) == 1 and None not in hosts:
        parts.append(f"{hosts.pop()} hosts")
    publishers = cells[0].cell.publishers
    subscribers = cells[0].cell.subscribers
    roles = {(m.cell.publishers, m.cell.subscribers) for m in cells}
    if len(roles) == 1 and publishers is not None:
        parts.append(
            f"{counted(publishers, 'publisher', grouped=True)} to "
            f"{counted(subscribers, 'subscriber', grouped=True)}"
        )
    loads = {m.load for m in cells}
    if len(loads) == 1:
        parts += [load for load in loads if load]
    return ", ".join(parts)
