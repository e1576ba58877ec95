"""The bars for the kinds of call, as ratios to other lines of the same cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pubsub_common.errors import ConfigError
from pubsub_perf.bench.in_turn.cells import (
    ASYNCIO,
    ASYNCIO_RECEIVE,
    BLOCK,
    GENERATOR,
    KIB,
    LIST,
    RECEIVE,
    SIZES,
    SUBSCRIBERS,
    Cell,
    Line,
    Route,
    at_base,
    cells,
)
from pubsub_perf.bench.in_turn.results import Rounds, Spread, ratio_of
from pubsub_perf.bench.systems import OURS, RAW
from pubsub_perf.bench.targets import Metric, Target


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """The ratio of ``line`` to ``against`` that is asked for in each of ``cells``: at least
    ``bound`` for rates, at most for the others."""

    name: str
    line: str
    against: str
    metric: Metric
    bound: float
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class BarResult:
    """How a bar came out in one cell. A line that lost events does not meet its bar."""

    bar: str
    cell: str
    line: str
    against: str
    metric: Metric
    bound: float
    ratio: Spread
    lost: int
    rounds: int
    met: bool


def paced(route: Route, *subscribers: int) -> tuple[Cell, ...]:
    """Small events at a steady rate, for these numbers of subscribers."""
    return tuple(Cell(route, 64, count, 1000.0) for count in subscribers)


def full_speed(route: Route, *sizes: int) -> tuple[Cell, ...]:
    """Events of these sizes as fast as possible, for every number of subscribers."""
    return tuple(Cell(route, size, count) for count in SUBSCRIBERS for size in sizes)


# A bar without cells: `footprint_change`.
FOOTPRINT: Final = "footprint"
_USUAL: Final = (16, KIB, 64 * KIB)
BARS: Final = (
    Bar("receive", RECEIVE, RAW, "p50_us", 1.15, paced("direct", 1, 8)),
    Bar("receive", ASYNCIO, RAW, "p50_us", 1.5, paced("direct", 1, 8)),
    Bar("receive", ASYNCIO_RECEIVE, RAW, "p50_us", 1.5, paced("direct", 1, 8)),
    Bar("block", BLOCK, RAW, "p50_us", 1.15, paced("brokered", 1, 8)),
    Bar("block", BLOCK, OURS, "rate", 0.95, full_speed("brokered", *SIZES)),
    Bar("iterable", GENERATOR, LIST, "rate", 0.8, full_speed("direct", 16, 256, KIB)),
    Bar("drop", OURS, RAW, "p50_us", 1.05, paced("brokered", 1, 8)),
    # What every change of the roles must keep.
    Bar("speed", OURS, RAW, "rate", 0.8, full_speed("direct", *_USUAL)),
    Bar("speed", LIST, RAW, "rate", 2.0, full_speed("direct", 16)),
    Bar("speed", OURS, RAW, "p50_us", 1.15, paced("direct", 1, 8)),
    Bar("speed", OURS, RAW, "rate", 0.8, full_speed("brokered", *_USUAL)),
    Bar("speed", OURS, RAW, "p50_us", 1.15, paced("brokered", 1, 8)),
)

# How far another checkout may be ahead of this one.
_LEVEL: Final = 0.05


def against_base(bars: Iterable[Bar]) -> list[Bar]:
    """For each bar, that this checkout is not worse in it than another one, in the metric itself
    and in processor time."""
    metrics: tuple[Metric, ...]
    found: dict[Bar, None] = {}
    for bar in bars:
        metrics = (bar.metric, "cpu_s_per_million")
        for metric in metrics:
            bound = 1 - _LEVEL if metric == "rate" else 1 + _LEVEL
            base = at_base(bar.line)
            same = Bar(bar.name, bar.line, base, metric, bound, bar.cells)
            found[same] = None
    return list(found)


def needed_cells(
    bars: Iterable[Bar], lines: Sequence[Line], only: str
) -> Iterator[tuple[Cell, list[Line]]]:
    """The cells that ``bars`` need and that have ``only`` in their names, with the lines that
    each needs and the usual one and the reference, in the order of ``lines``."""
    needed: dict[Cell, set[str]] = {}
    for bar in bars:
        for cell in bar.cells:
            needed.setdefault(cell, {OURS, RAW}).update((bar.line, bar.against))
    for cell, names in needed.items():
        if only in cell.name:
            yield cell, [line for line in lines if line.name in names]


def all_cells(
    _bars: Iterable[Bar], lines: Sequence[Line], only: str
) -> Iterator[tuple[Cell, list[Line]]]:
    """Every cell that has ``only`` in its name, with all its lines."""
    for cell in cells():
        if only in cell.name:
            yield cell, [line for line in lines if line.runs_in(cell)]


def results_of(bars: Iterable[Bar], cell: Cell, rounds: Rounds) -> Iterator[BarResult]:
    """How the bars of this cell came out; nothing where its lines have not run."""
    for bar in bars:
        ratio = ratio_of(rounds, bar.line, bar.against, bar.metric)
        if cell not in bar.cells or ratio is None:
            continue
        runs = rounds[bar.line]
        lost = sum(run.lost for run in runs if run)
        enough = Target(0, bar.metric, bar.bound).met(ratio.median)
        yield BarResult(
            bar.name,
            cell.name,
            bar.line,
            bar.against,
            bar.metric,
            bar.bound,
            ratio,
            lost,
            len(runs),
            met=enough and not lost,
        )


def asked(names: Sequence[str] | None, bars: Sequence[Bar]) -> list[Bar]:
    """The bars with these names; all if it is None. `FOOTPRINT` is a name without cells.

    Raises:
        ConfigError: There is no bar with one of the names.
    """
    if names is None:
        return list(bars)
    known = list(dict.fromkeys((*(bar.name for bar in bars), FOOTPRINT)))
    if unknown := set(names) - set(known):
        raise ConfigError(
            f"no bar {', '.join(sorted(unknown))}: choose from {', '.join(known)}"
        )
    return [bar for bar in bars if bar.name in names]


def complaint(found: Mapping[str, Any]) -> str | None:
    """A line about the bars that a document does not meet; None if it meets all."""
    results = [*found["bars"], *found.get("footprint", ())]
    missed = sum(not result["met"] for result in results)
    return f"{missed} of {len(results)} bars missed" if missed else None
