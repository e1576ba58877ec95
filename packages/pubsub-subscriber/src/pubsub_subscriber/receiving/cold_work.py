"""Receives what an exception of a signal handler must not cut short.

That is: frames that are not as usual, what is due, the ends of sockets, large events, and whatever
an earlier exception has left undone. `pubsub_subscriber.receiving.turns` has it done where
nothing cuts it short.
"""

from __future__ import annotations

import time
from typing import Final

from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import BURST, BURST_EVENTS, FastPath
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.socket_poller import SocketPoller

# Unusual frames at once: they keep others from the turn.
_FRAMES: Final = 1024
# So often at most what is due is done, should it still be due afterwards.
_TICK_S: Final = 0.05


class ColdWork:
    """For one thread at a time, the one that has the turn; `due_at` for any."""

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
        # When and for what there was a tick last; and a look at large events found none.
        self._ticked_at = 0.0
        self._ticked_for: tuple[int, float | None] | None = None
        self._looked = False

    # What there is to do

    def due_at(self) -> float | None:
        """When there is something to be done, whether or not anything arrives."""
        due_at = self._performer.due_at
        return None if due_at is None else max(due_at, self._ticked_at + _TICK_S)

    def is_due(self, now: float) -> bool:
        """Whether something is to be done now that all that arrived was looked at: it is
        time, or what has arrived may have changed something."""
        due_at = self.due_at()
        if due_at is None:
            return False
        taken = (self._queue.taken, self._performer.due_at)
        return now >= due_at or self._ticked_for != taken

    def is_urgent(self, now: float) -> bool:
        """Whether something is to be done, even if there is more to be looked at."""
        at = self._performer.urgent_at
        return at is not None and now >= max(at, self._ticked_at + _TICK_S)

    def has_looked(self) -> bool:
        """Whether the last `work` has found nothing at the sockets; for the first who
        asks."""
        looked, self._looked = self._looked, False
        return looked

    # Doing it, where it cannot be cut short

    def fetch(self) -> bool:
        """Take in all that has arrived; events wait in the queue. Whether there was any, or
        may be more."""
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
        """Whatever is to be done that is not usual."""
        queue, fast_path, performer = self._queue, self._fast_path, self._performer
        fast_path.settle()
        for _ in range(_FRAMES):
            deferred = fast_path.deferred
            if deferred is None:
                break
            if queue.incoming:
                return  # those before it are delivered first
            self._take_deferred(*deferred)
            if performer.reports or len(queue.incoming) >= BURST_EVENTS:
                return
            fast_path.take(deferred[2], batches)
        if fast_path.deferred is None and not self._close_retired(batches):
            self._do_due(batches)

    def _take_deferred(
        self, frame: bytes, received_ns: int, sub_socket: SubSocket
    ) -> None:
        self._performer.take(frame, received_ns, sub_socket, self._queue.incoming)
        self._fast_path.deferred = None

    def _close_retired(self, batches: bool) -> bool:
        """Take all that retired sockets still have, and close them. True when there is
        something to be done before that. A broker that is still there may go on sending: what
        comes after as much as the socket can have held is no longer waited for."""
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
