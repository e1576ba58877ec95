"""A latency histogram in bounded memory.

A log-linear histogram as in HdrHistogram (G. Tene): values below 256 ns are kept
exactly, larger ones with 8 significant bits, so a percentile is at most 1/128
(0.8 %) below the value that was measured. Nothing is dropped: a value of 0 or less
counts in its own field, because it shows a clock fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from pubsub_common import validation
from pubsub_common.defaults import MIN_COUNT_P99, MIN_COUNT_P999

_BITS: Final = 8
# Percentiles, and the number of values that each needs.
_POINTS: Final = (
    ("p50", 50, 1),
    ("p90", 90, 1),
    ("p99", 99, MIN_COUNT_P99),
    ("p99.9", 99.9, MIN_COUNT_P999),
)


class LatencyHistogram:
    """Counts of latencies in nanoseconds."""

    __slots__ = ("_buckets", "count", "max_ns", "min_ns", "not_positive")

    def __init__(self, values_ns: Iterable[int] = ()) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.not_positive = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        for value in values_ns:
            self.add(value)

    def add(self, latency_ns: int) -> None:
        """Count one latency."""
        if self.max_ns is None or self.min_ns is None:
            self.min_ns = self.max_ns = latency_ns
        elif latency_ns > self.max_ns:
            self.max_ns = latency_ns
        elif latency_ns < self.min_ns:
            self.min_ns = latency_ns
        self.count += 1
        if latency_ns <= 0:
            self.not_positive += 1
            latency_ns = 0
        shift = max(0, latency_ns.bit_length() - _BITS)
        floor = latency_ns >> shift << shift
        self._buckets[floor] = self._buckets.get(floor, 0) + 1

    def percentile_ns(self, percent: float) -> int | None:
        """The smallest bucket that ``percent`` of the values do not exceed (nearest
        rank); None when nothing was counted.

        Raises:
            ConfigError: ``percent`` is not a number in 0..100.
        """
        validation.percent("percent", percent)
        if not self.count:
            return None
        # Rounded: else 99.9 % of 41000 would be 40959.00000000001, and its rank 40960.
        rank = max(1, math.ceil(round(self.count * percent / 100, 6)))
        seen = 0
        for floor in sorted(self._buckets):
            seen += self._buckets[floor]
            if seen >= rank:
                return floor
        raise AssertionError("bucket counts do not add up to count")

    def summary_ns(self) -> Mapping[str, int]:
        """min, p50, p90, p99, p99.9 and max in nanoseconds; empty without values, and without
        p99 and p99.9 where there are too few for them."""
        if self.min_ns is None or self.max_ns is None:
            return {}
        points = {"min": self.min_ns}
        for label, percent, least in _POINTS:
            if self.count < least:
                continue
            value = self.percentile_ns(percent)
            # A bucket's floor can lie below the smallest value that was measured,
            # and that of the values below 0 above the largest.
            points[label] = min(self.max_ns, max(self.min_ns, value or 0))
        points["max"] = self.max_ns
        return points


def format_ns(value_ns: int) -> str:
    """A duration for people: ``873 ns``, ``64.2 us``, ``1.31 ms``, ``30.8 s``."""
    for divisor, unit in ((1, "ns"), (1_000, "us"), (1_000_000, "ms")):
        # From 999.5 on, three digits would be written 1e+03.
        if abs(value_ns) < 999.5 * divisor:
            return f"{value_ns / divisor:.3g} {unit}"
    seconds = value_ns / 1e9
    return f"{seconds:.3g} s" if abs(seconds) < 999.5 else f"{seconds:.0f} s"
