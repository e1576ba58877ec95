"""A few numbers for each run, from which verdicts are computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.defaults import MIN_COUNT_P99, MIN_COUNT_P999
from pubsub_perf.analysis.values.estimate import MIN_RUNS
from pubsub_perf.analysis.values.results import LeftOut
from pubsub_perf.results.summary_statistics import nearest_rank

CENTRALIZED: Final = "centralized"
DECENTRALIZED: Final = "decentralized"

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class RunFigures:
    """Percentiles of one run's latencies in seconds; None where too few events."""

    p50_s: float
    p99_s: float | None
    p999_s: float | None
    mean_s: float


def figures(latencies: Floats) -> RunFigures | None:
    """None without latencies."""
    count = len(latencies)
    if not count:
        return None
    ordered = np.sort(latencies)
    return RunFigures(
        nearest_rank(ordered, 500),
        nearest_rank(ordered, 990) if count >= MIN_COUNT_P99 else None,
        nearest_rank(ordered, 999) if count >= MIN_COUNT_P999 else None,
        float(ordered.mean()),
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The counted runs of one cell: one value a run, of the round of the sweep that
    ``rounds`` tells (from 1 on if not given). ``tail99`` is p99 over p50, and ``tail999``
    p99.9 over p50; None where a run has too few events for them."""

    model: str
    network: str
    kind: str
    hosts: int | None
    load: str
    medians: Floats
    tail99: Floats | None = None
    tail999: Floats | None = None
    rounds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.rounds:
            numbers = tuple(range(1, len(self.medians) + 1))
            object.__setattr__(self, "rounds", numbers)

    @property
    def name(self) -> str:
        return cell_name(self.model, self.network)

    @property
    def runs(self) -> int:
        return len(self.medians)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """All cells that can be counted, and those that cannot. ``indicative``: no cell has
    enough runs for an interval, so values are shown without verdicts."""

    cells: tuple[Sample, ...]
    left_out: tuple[LeftOut, ...]
    indicative: bool = False

    def of(self, model: str) -> list[Sample]:
        return [cell for cell in self.cells if cell.model == model]


def cell_name(model: str, network: str) -> str:
    return f"{model}/{network}"


def make_sample(
    model: str,
    network: str,
    kind: str,
    hosts: int | None,
    load: str,
    runs: Sequence[RunFigures],
    rounds: Sequence[int] = (),
) -> Sample:
    """A sample of runs, at least one; their medians are more than 0."""
    medians = np.array([run.p50_s for run in runs])
    return Sample(
        model,
        network,
        kind,
        hosts,
        load,
        medians,
        _ratio([run.p99_s for run in runs], medians),
        _ratio([run.p999_s for run in runs], medians),
        tuple(rounds),
    )


def _ratio(values: Sequence[float | None], medians: Floats) -> Floats | None:
    known = np.array([value for value in values if value is not None])
    return known / medians if len(known) == len(medians) else None


def select(cells: Iterable[Sample], left_out: Iterable[LeftOut]) -> Samples:
    """Keep the cells with runs enough for an interval. Where there is none, keep all,
    so that their values can be told."""
    every = list(cells)
    enough = [cell for cell in every if cell.runs >= MIN_RUNS]
    few = [
        LeftOut(cell.name, f"{_runs(cell.runs)} counted; an interval needs {MIN_RUNS}")
        for cell in every
        if cell.runs < MIN_RUNS
    ]
    if not enough:
        return Samples(tuple(every), tuple(left_out), indicative=bool(every))
    return Samples(tuple(enough), (*left_out, *few))


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
