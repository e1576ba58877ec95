"""Repeats requests to publishers without a reply.

A repeated request replaces the one before; the reply to that may be on its way. And publishers take
many requests in a short time for a flood. So a request for thousands of topics is repeated
later, and each time the pause doubles: in the end it is longer than the replies take on the
busiest machine.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

from typing import Final

# First and longest time without a reply, for few topics.
REPEAT_S: Final = 1.0
REPEAT_MAX_S: Final = 64.0
# The first time for each missing reply, if they are many.
REPEAT_EACH_S: Final = 0.0005


class Repetition:
    """For the requests to all publishers together."""

    def __init__(self) -> None:
        self.at: float | None = None  # when to repeat; None: no reply is missing
        self._awaited = 0
        self._times = 1  # the first pause

    def is_due(self, awaited: int, now: float) -> bool:
        """Whether to repeat the requests, while ``awaited`` replies are missing. If so, it
        counts as done."""
        if awaited > self._awaited or not awaited:
            self._times = 1
        came = awaited != self._awaited  # more may follow
        self._awaited = awaited
        if not awaited:
            self.at = None
            return False
        if came or self.at is None:
            self.at = now + self._pause_s
        if now < self.at:
            return False
        if self._pause_s < REPEAT_MAX_S:
            self._times *= 2
        self.at = now + self._pause_s
        return True

    def put_off(self, now: float) -> None:
        """No request could be sent."""
        self._times = max(self._times // 2, 1)
        self.at = now + REPEAT_S

    @property
    def _pause_s(self) -> float:
        first_s = max(REPEAT_S, REPEAT_EACH_S * self._awaited)
        return min(self._times * first_s, max(REPEAT_MAX_S, first_s))
