"""Limits how many events are published each second.

The schedule is absolute while there are events to send: event k is due at start + k * period,
and a late event does not delay the others. It starts again with an event that comes after its
due time, so that no burst follows a pause of the input.
"""

from __future__ import annotations


class RateLimiter:
    """Times are nanoseconds of any clock that only goes forward."""

    def __init__(self, rate: float) -> None:
        """``rate`` is in events a second, more than 0."""
        self._period_ns = 1e9 / rate
        self._start_ns: int | None = None
        self._sent = 0

    def arrived(self, now_ns: int) -> None:
        """Events have come after a time without events."""
        if self._start_ns is None or now_ns > self.due_ns():
            self._start_ns = now_ns
            self._sent = 0

    def due_ns(self) -> int:
        """When the next event may leave."""
        start_ns = self._start_ns
        assert start_ns is not None, "something has arrived"
        return start_ns + round(self._sent * self._period_ns)

    def take(self, now_ns: int, waiting: int) -> int:
        """How many of ``waiting`` events leave now; they count as sent."""
        if now_ns < self.due_ns():
            return 0
        start_ns = self._start_ns
        assert start_ns is not None, "something has arrived"
        due = int((now_ns - start_ns) / self._period_ns) + 1 - self._sent
        count = min(max(due, 1), waiting)
        self._sent += count
        return count
