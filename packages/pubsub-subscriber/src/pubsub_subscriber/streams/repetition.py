"""When publishers are asked again that have not answered.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

from typing import Final

# After so long without an answer, at first and at last.
REPEAT_S: Final = 1.0
REPEAT_MAX_S: Final = 4.0


class Repetition:
    """Of what has been asked of all publishers together."""

    def __init__(self) -> None:
        self.at: float | None = None  # when to ask again; None: nothing is awaited
        self._awaited = 0
        self._pause_s = REPEAT_S

    def is_due(self, awaited: int, now: float) -> bool:
        """Whether to ask again, now that so many answers are ``awaited``. If so it is taken
        as done."""
        if awaited > self._awaited or not awaited:
            self._pause_s = REPEAT_S
        came = awaited != self._awaited  # and more may be coming
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
        """It could not be asked."""
        self.at = now + REPEAT_S
