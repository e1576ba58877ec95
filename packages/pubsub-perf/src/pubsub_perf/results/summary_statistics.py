"""Statistics of one cell's raw samples.

Percentiles are nearest rank: the smallest sample that at least p % of the samples do
not exceed. Each is a measured value, never interpolated; subscribers use
the same method. Nothing is trimmed. Percentiles need enough samples: p99 needs 100, p99.9
needs 1,000.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.defaults import MIN_COUNT_P99, MIN_COUNT_P999

METHOD: Final = "nearest rank"


@dataclasses.dataclass(frozen=True, slots=True)
class SummaryStatistics:
    """Statistics in seconds. None: no samples, or too few for this percentile.
    ``lost`` and ``expected`` are None if they were not counted."""

    count: int
    not_positive: int
    expected: int | None = None
    lost: int | None = None
    min_s: float | None = None
    p25_s: float | None = None
    p50_s: float | None = None
    p75_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    max_s: float | None = None
    mean_s: float | None = None


def nearest_rank(ordered: NDArray[np.float64], per_mille: int) -> float:
    """The percentile (in per mille, 1..1000) of samples in ascending order, at least
    one. Computed in whole numbers, so that no rank is off by one."""
    rank = -(-len(ordered) * per_mille // 1000)
    return float(ordered[max(rank, 1) - 1])


def statistics_of(
    samples: NDArray[np.float64],
    *,
    expected: int | None = None,
    lost: int | None = None,
) -> SummaryStatistics:
    """Summarise finite samples in seconds, in any order."""
    count = len(samples)
    if not count:
        return SummaryStatistics(0, 0, expected, lost)
    ordered = np.sort(samples)
    return SummaryStatistics(
        count=count,
        not_positive=int(np.count_nonzero(ordered <= 0)),
        expected=expected,
        lost=lost,
        min_s=float(ordered[0]),
        p25_s=nearest_rank(ordered, 250),
        p50_s=nearest_rank(ordered, 500),
        p75_s=nearest_rank(ordered, 750),
        p90_s=nearest_rank(ordered, 900),
        p99_s=nearest_rank(ordered, 990) if count >= MIN_COUNT_P99 else None,
        p999_s=nearest_rank(ordered, 999) if count >= MIN_COUNT_P999 else None,
        max_s=float(ordered[-1]),
        mean_s=float(ordered.mean()),
    )


def footnotes(summaries: Iterable[SummaryStatistics]) -> list[str]:
    """The reason for each "n/a" in a table of these summaries, once."""
    summaries = list(summaries)
    notes = []
    if any(0 < s.count < MIN_COUNT_P99 for s in summaries):
        notes.append(
            f"p99 is n/a below {MIN_COUNT_P99} samples: less than one sample would lie "
            "beyond it."
        )
    if any(0 < s.count < MIN_COUNT_P999 for s in summaries):
        notes.append(
            f"p99.9 is n/a below {MIN_COUNT_P999:,} samples: less than one sample would "
            "lie beyond it."
        )
    if any(not s.count for s in summaries):
        notes.append("No percentiles without a latency.")
    return notes
