"""The deadlines of waits in the socket (`pubsub_subscriber.receiving.fast_path`).

A wait with a deadline ends by itself, with libzmq's timeout. But pyzmq begins an interrupted
wait again with its full time. So where signals come often, the wait would never end: the
control thread interrupts a wait that is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pubsub_subscriber.receiving.socket_poller import SocketPoller

# libzmq counts milliseconds in 32 bits.
_LONGEST_S: Final = 3600.0
# How late a wait is when it is interrupted: normally it has ended by itself.
_LATE_S: Final = 0.05
_NEVER: Final = float("inf")


class SocketWait:
    """For the receiving thread, except `end_late`."""

    def __init__(self, poller: SocketPoller) -> None:
        self._poller = poller
        # Makes the control thread call `end_late`.
        self.call_control: Callable[[], None] = lambda: None
        # When the last wait with a deadline must end; None: it was interrupted. A deadline of a
        # wait that has ended may interrupt a later one, which then checks everything.
        self._until: float | None = None
        self._checked_at = _NEVER  # by the control thread

    def patience_ms(self, deadline: float) -> int:
        """How long to wait until the deadline, in milliseconds, for `take_next`; 0: it has
        passed."""
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return 0
        self._until = deadline
        if deadline < self._checked_at - _LATE_S:
            self.call_control()
        return int(min(left_s, _LONGEST_S) * 1000) + 1

    def end_late(self) -> float | None:
        """Interrupt a wait that is late. Returns the seconds until the next call, None: no
        time. For the control thread."""
        self._checked_at = _NEVER  # before the look: a later wait calls again
        until, now = self._until, time.monotonic()
        if until is None:
            return None
        if now < until + _LATE_S:
            self._checked_at = until + _LATE_S
            return self._checked_at - now
        self._until = None  # once is enough
        sub_socket = self._poller.waiting_in
        if sub_socket is not None:
            sub_socket.interrupt()
        return None
