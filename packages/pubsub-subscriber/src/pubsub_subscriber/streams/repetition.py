"""Repeats requests to publishers without a reply.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

from typing import Final

# First and longest time without a reply.
REPEAT_S: Final = 1.0
REPEAT_MAX_S: Final = 4.0


class Repetition:
    """For the requests to all publishers together."""

    def __init__(self) -> None:
        self.at: float | None = None  # when to repeat; None: no reply is missing
        self._awaited = 0
        self._pause_s = REPEAT_S

    def is_due(self, awaited: int, now: float) -> bool:
        """Whether to repeat the requests, while ``awaited`` replies are missing. If so, it
        counts as done."""
        if awaited > self._awaited or not awaited:
            self._pause_s = REPEAT_S
        came = awaited != self._awaited  # more may follow
        self._awaited = awaited
        if not awaited:
            self.at = None
            return False
        if came or self.at is None:
            self.at = now + self._pause_s
        if now < self.at:
            return False
        self._pause_s = min(2 * self._pause_s, REPEAT_MAX_S)
        self.at = now + self._pause_s
        return True

    def put_off(self, now: float) -> None:
        """The requests could not be sent."""
        self.at = now + REPEAT_S
