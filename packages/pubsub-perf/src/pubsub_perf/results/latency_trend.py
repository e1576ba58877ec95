"""Tests whether latency grows during a run: then there is a backlog and no steady state.

The test uses the rows of the files in their order, because files from other people have nothing
else. An event's place in the run is its place in its stream (publisher and topic), from
0 to 1, so that it does not matter how files interleave streams. Places fall into 20
parts of the run, each with its median. Latency *grows* when these medians
rise by Kendall's test, by a quarter of their middle or more over the run (Theil and Sen's
slope), and still rise in the second half: latency that rises to a level and stays there has
a long warm-up, not a backlog.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf import units
from pubsub_perf.results.cells import Run

if TYPE_CHECKING:
    from pubsub_perf.results.warmup import Steady

_PARTS: Final = 20
# With fewer parts, or fewer events in each, one late event makes a trend.
_MIN_PARTS: Final = 8
_MIN_EVENTS: Final = 5
_SIGNIFICANT: Final = 0.01
_SIGNIFICANT_LATER: Final = 0.05
# Share of the middle median, over the run. Queues with 90 % utilisation vary by less.
_MIN_RISE: Final = 0.25
# Share of the whole slope in the second half: 1 for a backlog, 0 for a warm-up.
_MIN_LATER: Final = 1 / 3

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Trend:
    """Latencies (s) at the beginning and at the end of one run, and their growth per event of
    a publisher and, if times are known, per second."""

    grows: bool
    first_s: float
    last_s: float
    per_event_s: float
    per_second_s: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Backlog:
    """The middle of the growing runs of a cell, in which most runs grow."""

    runs: int
    of_runs: int
    first_s: float
    last_s: float
    per_event_s: float
    per_second_s: float | None

    def __str__(self) -> str:
        during = "during the run"
        if self.of_runs > 1:
            during = f"during {self.runs} of {self.of_runs} runs"
        if self.per_second_s is None:
            slope = f"{units.duration(self.per_event_s)} with each event of a publisher"
        else:
            slope = f"{units.duration(self.per_second_s)} each second"
        return (
            f"no steady state: latency grows {during}, from "
            f"{units.duration(self.first_s)} to {units.duration(self.last_s)}, by {slope}"
        )


def trend_of(run: Run, counted: Steady) -> Trend | None:
    """The trend of the ``counted`` events of a run; None for too few."""
    places, latencies, longest = [np.empty(0)], [np.empty(0)], 0
    for i, file in enumerate(run.files):
        streams = file.stream_of
        if len(streams) != len(file.latencies):
            streams = np.zeros(len(file.latencies), dtype=np.int32)
        kept = counted.kept[i] if counted.kept else slice(None)
        within, count = _places(streams[kept])
        places.append(within)
        latencies.append(file.latencies[kept])
        longest = max(longest, count)
    return _trend(
        np.concatenate(places), np.concatenate(latencies), longest, counted.span_s
    )


def backlog_of(trends: Sequence[Trend | None]) -> Backlog | None:
    """The backlog of a cell; None if most runs do not grow."""
    growing = [trend for trend in trends if trend is not None and trend.grows]
    if 2 * len(growing) <= len(trends):
        return None
    speeds = [t.per_second_s for t in growing if t.per_second_s is not None]
    return Backlog(
        runs=len(growing),
        of_runs=len(trends),
        first_s=float(np.median([t.first_s for t in growing])),
        last_s=float(np.median([t.last_s for t in growing])),
        per_event_s=float(np.median([t.per_event_s for t in growing])),
        per_second_s=float(np.median(speeds)) if speeds else None,
    )


def _places(streams: NDArray[np.int32]) -> tuple[Floats, int]:
    """The place of each event in its stream, and the length of the longest stream."""
    if not len(streams):
        return np.empty(0), 0
    order = np.argsort(streams, kind="stable")
    counts = np.bincount(streams)
    begins = np.cumsum(counts) - counts
    ranks = np.empty(len(streams))
    ranks[order] = np.arange(len(streams)) - begins[streams[order]]
    return (ranks + 0.5) / counts[streams], int(counts.max())


def _trend(
    places: Floats, latencies: Floats, longest: int, span_s: float | None
) -> Trend | None:
    parts = min(_PARTS, len(latencies) // _MIN_EVENTS, longest)
    if parts < _MIN_PARTS:
        return None
    part = np.minimum((places * parts).astype(np.int64), parts - 1)
    filled = np.unique(part)
    if len(filled) < _MIN_PARTS:
        return None
    medians = np.array([np.median(latencies[part == k]) for k in filled])
    x = filled / parts
    later = len(x) // 2
    p_value, rise = _rise(x, medians)
    p_later, rise_later = _rise(x[later:], medians[later:])
    enough = rise >= _MIN_RISE * float(np.median(medians))
    goes_on = p_later < _SIGNIFICANT_LATER and rise_later >= _MIN_LATER * rise > 0
    return Trend(
        grows=p_value < _SIGNIFICANT and enough and goes_on,
        first_s=float(np.median(medians[:2])),
        last_s=float(np.median(medians[-2:])),
        per_event_s=rise / longest,
        per_second_s=rise / span_s if span_s else None,
    )


def _rise(x: Floats, values: Floats) -> tuple[float, float]:
    """The p-value of Kendall's test that ``values`` rise, and their slope."""
    test = stats.kendalltau(x, values, alternative="greater")
    return float(test.pvalue), float(stats.theilslopes(values, x)[0])
