"""Waits in the socket for one message after the other.

This is the shortest path from a message to the user, for a program that receives one event at a
time (`pubsub_subscriber.receiving.socket_poller`). A wait with a deadline ends by itself, with
libzmq's timeout. But pyzmq begins an interrupted wait again with its full time. So where signals
come often, the wait would never end: the control thread interrupts a wait that is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.socket_poller import SocketPoller

# After so many messages with shorter gaps, switch from one-at-a-time to burst receive.
# Fewer may have come in one burst; then one-at-a-time continues.
_BURST_AFTER: Final = 16
_BURST_GAP_NS: Final = 20_000
# libzmq counts milliseconds in 32 bits.
_LONGEST_S: Final = 3600.0
# How late a wait is when it is interrupted: normally it has ended by itself.
_LATE_S: Final = 0.05
_NEVER: Final = float("inf")


class SocketWait:
    """For the receiving thread, except `end_late`."""

    def __init__(
        self, queue: EventQueue, fast_path: FastPath, poller: SocketPoller
    ) -> None:
        self._queue = queue
        self._fast_path = fast_path
        self._poller = poller
        # Makes the control thread call `end_late`.
        self.call_control: Callable[[], None] = lambda: None
        # Messages that came quickly one after the other, and when the last one came.
        self._streak = 0
        self._last_ns = 0
        # When the present wait must end; None: never, or there is none.
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

    def take_next(self, patience_ms: int) -> bool:
        """Wait for one message; the caller has the turn. True if a burst of its events is
        ready. Else everything must be checked. Between the waits of a series no event waits
        in the queue: any other step ends the series."""
        queue, poller, fast_path = self._queue, self._poller, self._fast_path
        sub_socket, events = poller.waiting_in, queue.events
        if events:  # of the message before
            received_ns = events[0].received_ns
            quick = received_ns - self._last_ns < _BURST_GAP_NS
            self._streak = self._streak + 1 if quick else 0
            self._last_ns = received_ns
        if (
            sub_socket is not None
            and self._streak < _BURST_AFTER
            and fast_path.is_ready()
            and (queue.taken < queue.plain_until or queue.wanted())
        ):
            try:
                ready = fast_path.take_next(sub_socket, patience_ms)
            except BaseException:
                # Events may wait in the queue now: they come before the next message.
                poller.waiting_in = None
                raise
            if ready:
                self._until = None
                return True
        self._until = poller.waiting_in = None
        self._streak = 0
        return False

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
