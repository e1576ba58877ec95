"""What the rounds of a cell came to: medians, ranges, and ratios within a round."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pubsub_common.errors import ConfigError
from pubsub_perf.bench.in_turn.cells import Cell, cells
from pubsub_perf.bench.targets import Metric
from pubsub_perf.bench.workload.scenario import Figures

METRICS: Final[dict[str, tuple[Metric, ...]]] = {
    "throughput": ("rate", "cpu_s_per_million"),
    "latency": (
        "p50_us",
        "p99_us",
        "inside_p50_us",
        "inside_p99_us",
        "cpu_s_per_million",
    ),
}
# A run that failed has no figures.
Round = Figures | None
Rounds = Mapping[str, Sequence[Round]]


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A median, with the smallest and the largest of its values."""

    median: float
    lowest: float
    highest: float


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One metric of one cell, of every line that has it: ``values``, and ``ratios`` to the
    reference, each from the ratios within a round. ``lost`` and ``failed`` count events and
    runs over all rounds."""

    cell: Cell
    metric: Metric
    reference: str
    values: dict[str, Spread]
    ratios: dict[str, Spread]
    lost: dict[str, int]
    failed: dict[str, int]


def spread_of(values: Sequence[float]) -> Spread:
    """The median and the range of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio_of(rounds: Rounds, line: str, against: str, metric: Metric) -> Spread | None:
    """The ratios of a line's metric to another's, each within one round, so that a change of the
    machine's speed between rounds does not matter. None if no round has both."""
    pairs = zip(rounds.get(line, ()), rounds.get(against, ()), strict=False)
    ratios = [
        ours / theirs
        for mine, other in pairs
        if (ours := value_of(mine, metric)) is not None
        and (theirs := value_of(other, metric))
    ]
    return spread_of(ratios) if ratios else None


def value_of(figures: Round, metric: Metric) -> float | None:
    """A metric of one run; None where the run failed or the system has no such metric."""
    return None if figures is None else getattr(figures, metric)


def rows_of(cell: Cell, rounds: Rounds, reference: str) -> Iterator[Row]:
    """A row for each metric of the cell that any line has."""
    for metric in METRICS[cell.kind]:
        values, ratios = {}, {}
        for line, runs in rounds.items():
            found = [
                value for run in runs if (value := value_of(run, metric)) is not None
            ]
            if found:
                values[line] = spread_of(found)
            ratio = ratio_of(rounds, line, reference, metric)
            if ratio is not None:
                ratios[line] = ratio
        if values:
            yield Row(
                cell,
                metric,
                reference,
                values,
                ratios,
                lost={
                    line: sum(run.lost for run in runs if run)
                    for line, runs in rounds.items()
                },
                failed={
                    line: sum(run is None for run in runs)
                    for line, runs in rounds.items()
                },
            )


def joined(
    before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> dict[str, Any]:
    """The document of a run, with the cells that only an earlier one has measured. The number of
    repetitions is the lower one; everything else but rows and bars is that of the later run.

    Raises:
        ConfigError: The earlier document has another format.
    """
    if before is None:
        return dict(after)
    if before.get("format") != after["format"]:
        raise ConfigError("the earlier results have another format")
    measured = [row["cell"] for row in after["rows"]]
    names = {cell_of(cell).name for cell in measured}
    rows = [row for row in before["rows"] if row["cell"] not in measured]
    bars = [bar for bar in before["bars"] if bar["cell"] not in names]
    return {
        **before,
        **after,
        "repetitions": min(before["repetitions"], after["repetitions"]),
        "rows": sorted((*rows, *after["rows"]), key=_place),
        "bars": [*bars, *after["bars"]],
    }


def cell_of(cell: Mapping[str, Any]) -> Cell:
    """The cell that a document describes."""
    return Cell(**cell)


def _place(row: Mapping[str, Any]) -> int:
    """Where a row is in the table; cells that are not of the table any more come last."""
    places = {cell: number for number, cell in enumerate(cells())}
    return places.get(cell_of(row["cell"]), len(places))
