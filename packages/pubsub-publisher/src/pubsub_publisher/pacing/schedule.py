"""The times at which generated events are due.

The schedule is absolute: event k is due at start + k * period, however late the
events before it were. A publisher that falls behind sends at once until it has
caught up, and does not hide the delay by shifting the rest (coordinated omission:
G. Tene, "How NOT to Measure Latency").
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """Times in nanoseconds of the publisher's clock."""

    start_ns: int
    period_ns: int

    def due_ns(self, index: int) -> int:
        """When event ``index`` (from 0) is due."""
        return self.start_ns + index * self.period_ns
