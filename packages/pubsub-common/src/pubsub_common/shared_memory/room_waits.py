"""How long senders may wait for room in shared memory. Pure: times are arguments.

A sender waits for a free sample for at most three quarters of the time, and no longer in a row
than it may, so that a slow subscriber does not stop the others; and not at all while no sample
becomes free. With ``patient`` it may wait as long as subscribers read.

A *blocking* sender also waits behind whole frames that have gone by TCP: they stand before later
references, and no sample becomes free while a subscriber reads them. It takes a few nanoseconds a
byte, but no longer than `MOST_BEHIND_S`. Without this, references would never get ahead of whole
frames, once there are many.
"""

from __future__ import annotations

from typing import Final

from pubsub_common.defaults import SHARED_MEMORY_WAIT_S

# Senders may wait for so much of the other time.
_WAITING: Final = 3
_TCP_S_PER_BYTE: Final = 4e-9
MOST_BEHIND_S: Final = 1.0


class RoomWaits:
    """The waits of the senders of one publisher, which take turns."""

    def __init__(self) -> None:
        self.patient = False
        # How long senders may wait for room; whether there was any since the last wait, and
        # when that began and ended.
        self._credit_s = SHARED_MEMORY_WAIT_S
        self._freed = False
        self._began_at = self._waited_until = 0.0
        # For how long whole frames may stand before references; the end of a wait for that,
        # and whether a sample has become free since the last one.
        self._behind_s = 0.0
        self._behind_until: float | None = None
        self._reading = True

    @property
    def spent(self) -> bool:
        """Whether senders may not wait now."""
        return self._credit_s <= 0

    @property
    def stuck(self) -> bool:
        """Whether a subscriber does not let go of its samples."""
        return not self._freed and self.spent

    def found(self, now: float) -> None:
        """There was a free sample."""
        self._freed = self._reading = True
        if self._behind_until is not None:
            self._behind_s = max(0.0, self._behind_until - now)
            self._behind_until = None

    def begin(self, now: float, most_s: float) -> float:
        """A wait for a free sample begins. Returns the time until which it may last."""
        if self._freed and self.patient:
            self._credit_s = SHARED_MEMORY_WAIT_S
        elif self._freed:
            self._credit_s += _WAITING * (now - self._waited_until)
        self._credit_s = min(self._credit_s, SHARED_MEMORY_WAIT_S)
        self._freed = False
        self._began_at = now
        return now + min(self._credit_s, most_s)

    def end(self, now: float) -> None:
        """The wait is over."""
        self._credit_s -= now - self._began_at
        self._waited_until = now

    def opened(self) -> None:
        """New memory is used from now on: any number of whole frames may stand before it."""
        self._behind_s = MOST_BEHIND_S

    def waits_behind(self, now: float, size: int) -> bool:
        """There was no room for a frame of about ``size`` bytes: whether a blocking sender
        waits, and then tries again. Else the frame goes by TCP."""
        if self._behind_until is None and self._reading and self._behind_s > 0:
            self._behind_until, self._behind_s = now + self._behind_s, 0.0
        if self._behind_until is not None:
            if now < self._behind_until:
                return True
            self._behind_until, self._reading = None, False
        self._behind_s = min(self._behind_s + size * _TCP_S_PER_BYTE, MOST_BEHIND_S)
        return False
