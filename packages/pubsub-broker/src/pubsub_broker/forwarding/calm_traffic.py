"""Decides when libzmq's proxy may forward for sockets that wait for slow subscribers.

The proxy answers no command while it waits for a subscriber to read. So it may only
forward while no queue can fill before the next look: few messages come, and the kernel
has passed on what each subscriber was sent. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A shorter queue is filled between two looks by what one program can send: 20,000
# messages a second fill one of 1000.
LEAST_QUEUE: Final = 4000
# Parts of a queue: so many messages between two looks are too many; after so many the
# subscribers are checked, and after so many without a check traffic is not calm.
_BUSY_PART: Final = 8
_CHECK_PART: Final = 4
_UNCHECKED_PART: Final = 2
# Checks of the subscribers are this far apart, and take no larger part of a processor.
_CHECK_EVERY_S: Final = 0.05
_LARGEST_PART: Final = 0.05


class CalmTraffic:
    """For queues of ``limit`` messages. ``clock`` measures the processor time of checks: a
    thread may be suspended within one."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.calm = limit >= LEAST_QUEUE
        self._possible = self.calm
        self._limit = limit
        self._clock = clock
        self._count = 0
        self._checked_count = 0
        self._check_at = 0.0

    def look(
        self, count: int, now: float, *, waits: bool, stalled: Callable[[], bool]
    ) -> bool:
        """Decide again, every 50 ms or so; returns `calm`. ``count``: of the
        messages forwarded so far; ``waits``: a message waits for room; ``stalled``:
        whether the kernel has data for a subscriber that it cannot send."""
        if not self._possible:
            return False
        came, self._count = count - self._count, count
        unchecked = count - self._checked_count
        if waits or came * _BUSY_PART > self._limit:
            self.calm = False
        elif not self.calm or unchecked * _CHECK_PART > self._limit:
            if now < self._check_at:
                self.calm &= unchecked * _UNCHECKED_PART <= self._limit
                return self.calm
            begun_at = self._clock()
            self.calm = not stalled()
            took_s = self._clock() - begun_at
            self._check_at = now + max(_CHECK_EVERY_S, took_s / _LARGEST_PART)
            if self.calm:
                self._checked_count = count
        return self.calm
