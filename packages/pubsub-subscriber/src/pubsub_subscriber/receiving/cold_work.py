"""Receiving work that an exception of a signal handler must not interrupt.

It handles unusual frames, due work, the ends of sockets, large events, and work that an
earlier exception interrupted. `pubsub_subscriber.receiving.turns` runs it where nothing
interrupts it.
"""

from __future__ import annotations

import time
from typing import Final

from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import BURST, BURST_EVENTS, FastPath
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.socket_poller import SocketPoller

# Most unusual frames at once: other threads wait for the turn.
_FRAMES: Final = 1024
# Shortest interval of due work that is still due afterwards.
_TICK_S: Final = 0.05


class ColdWork:
    """For one thread at a time, the one that has the turn; `due_at` for any thread."""

    def __init__(
        self,
        queue: EventQueue,
        performer: Performer,
        fast_path: FastPath,
        poller: SocketPoller,
    ) -> None:
        self._queue = queue
        self._performer = performer
        self._fast_path = fast_path
        self._poller = poller
        # When and for what the last tick was; and when a check for large events found none.
        self._ticked_at = 0.0
        self._ticked_for: tuple[int, float | None] | None = None
        self._looked = False

    # State of the work

    def due_at(self) -> float | None:
        """When there is work to do even if nothing arrives."""
        due_at = self._performer.due_at
        return None if due_at is None else max(due_at, self._ticked_at + _TICK_S)

    def is_due(self, now: float) -> bool:
        """Whether there is work after everything that arrived was checked: its time has come,
        or an arrival may have changed something."""
        due_at = self.due_at()
        if due_at is None:
            return False
        taken = (self._queue.taken, self._performer.due_at)
        return now >= due_at or self._ticked_for != taken

    def is_urgent(self, now: float) -> bool:
        """Whether there is work to do before more arrivals are checked."""
        at = self._performer.urgent_at
        return at is not None and now >= max(at, self._ticked_at + _TICK_S)

    def has_looked(self) -> bool:
        """Whether the last `work` found nothing at the sockets; true only for the first
        caller."""
        looked, self._looked = self._looked, False
        return looked

    # The work, where it cannot be interrupted

    def fetch(self) -> bool:
        """Receive everything that has arrived; events wait in the queue. Returns whether
        there was anything, or may be more."""
        queue, fast_path = self._queue, self._fast_path
        self._poller.waiting_in = None
        fast_path.settle()
        found = fast_path.deferred is not None
        queue.buffer_incoming()
        self.work(False)
        queue.buffer_incoming()
        found |= fast_path.deferred is not None or self._poller.look(False)
        if fast_path.deferred is None:
            found |= fast_path.has_events
            queue.buffer_incoming()
        return found

    def work(self, batches: bool) -> None:
        """Do all unusual work."""
        queue, fast_path, performer = self._queue, self._fast_path, self._performer
        fast_path.settle()
        for _ in range(_FRAMES):
            deferred = fast_path.deferred
            if deferred is None:
                break
            if queue.incoming:
                return  # earlier events are delivered first
            self._take_deferred(*deferred)
            if performer.reports or len(queue.incoming) >= BURST_EVENTS:
                return
            if fast_path.deferred is None:
                fast_path.take(deferred[2], batches)
        if fast_path.deferred is None and not self._close_retired(batches):
            self._do_due(batches)

    def _take_deferred(
        self, frame: bytes, received_ns: int, sub_socket: SubSocket
    ) -> None:
        self._performer.take(frame, received_ns, sub_socket, self._queue.incoming)
        self._fast_path.defer_next()

    def _close_retired(self, batches: bool) -> bool:
        """Take the remaining messages of retired sockets, and close them. True if there is
        work to do before that. A broker may continue to send: messages beyond the capacity
        of the socket are not waited for."""
        sockets = self._poller.sockets
        for sub_socket in sockets.retired:
            while sub_socket.most_held > 0:
                if self._fast_path.take(sub_socket, batches):
                    break
                if self._fast_path.deferred is not None:
                    sub_socket.most_held -= 1
                    return True
                sub_socket.most_held -= BURST
            sub_socket.close(0)
            sockets.forget(sub_socket)
        return False

    def _do_due(self, batches: bool) -> None:
        performer, queue = self._performer, self._queue
        if performer.due_at is None and not self._fast_path.large:
            return
        found = self._poller.look(batches)
        self._looked = not found
        if self._fast_path.deferred is not None or performer.due_at is None:
            return
        if performer.tick(queue.incoming, idle=not found):
            self._poller.empty_now = False
        self._ticked_at = time.monotonic()
        self._ticked_for = (queue.taken, performer.due_at)
