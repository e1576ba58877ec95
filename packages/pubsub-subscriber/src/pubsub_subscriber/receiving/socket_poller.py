"""Takes frames from all sockets, and waits for more.

Theory of operation
-------------------

Sockets are drained without waiting, and their file descriptors are polled when they are
empty. The control thread connects the sockets to publishers; it wakes this thread if that may
have swallowed the signal of an event (`pubsub_common.net.sockets`).

If all events come from one socket, and each wake-up brings one event, most of an event's cost
is the path from the descriptor to the socket. Then this thread waits in the socket itself,
with its lock, until it is interrupted (`SubSocket.interrupt`), its time is over, or the cold
path has to take a frame (`pubsub_subscriber.receiving.fast_path`).

The state of the sockets (`empty_now`, `idle`) is reset before each wait and set after it; so
after an exception they are checked again.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Final

from pubsub_common.net.waker import Waker
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.fast_path import FastPath

_MAX_POLL_S: Final = 3600.0


class SocketPoller:
    """For the receiving thread, except `wake`.

    ``empty_now``: all sockets were empty a moment ago, so their descriptors signal new
    messages. ``idle``: also, no work is due at a time, and no thread has woken this one.
    ``only_socket``: the only socket, if there is one. ``waiting_in``: the thread waits in
    this socket, or is about to.
    """

    def __init__(self, sockets: SocketSet, fast_path: FastPath) -> None:
        self.sockets = sockets
        self.waker: Waker | None = None
        self.cut_off = False  # in a forked child
        self.empty_now = False
        self.idle = False
        self.only_socket: SubSocket | None = None
        self.waiting_in: SubSocket | None = None
        self._fast_path = fast_path
        # A new one for each wake-up (any thread may read it), and the last one that was seen.
        self.wake_token = self._seen_wake_token = object()
        # For the token and ``waiting_in``. Reentrant, because signal handlers wake this thread too.
        self._wake_lock = threading.RLock()
        self._poller = select.poll()
        self._watched: dict[int, SubSocket] = {}
        self._watched_open: tuple[SubSocket, ...] | None = None
        # Where the next check begins, so that a flood of unusual frames at one socket does not
        # delay the others.
        self._first = 0

    def wake(self) -> None:
        """Make the receiving thread check everything again. For any thread."""
        if self.cut_off:
            return
        with self._wake_lock:
            self.wake_token = object()
            sub_socket = self.waiting_in
        if sub_socket is not None:
            sub_socket.interrupt()
        waker = self.waker  # another thread may remove it
        if waker is not None:
            waker.wake()

    def look(self, batches: bool) -> bool:
        """Take the messages that wait at the sockets, about a burst; False if nothing waits.
        The events include whole batches only with ``batches``."""
        self.idle = False
        self.waiting_in = None
        fast_path, first = self._fast_path, self._first
        sub_sockets = self.sockets.open
        if first:
            sub_sockets = (*sub_sockets[first:], *sub_sockets[:first])
        several = len(sub_sockets) > 1
        empty = True
        for number, sub_socket in enumerate(sub_sockets, 1):
            if several and not sub_socket.waits():
                continue  # hundreds may be empty; checking with `take` costs more
            empty &= fast_path.take(sub_socket, batches)
            if fast_path.deferred is not None:
                self._first = (first + number) % len(sub_sockets)
                self.empty_now = False
                return True
        self._first = 0
        self.empty_now = empty
        return not empty or fast_path.has_events

    def wait(
        self, deadline: float | None, due_at: float | None, batches: bool = False
    ) -> None:
        """Wait for frames, for due work, or for the deadline; take the events that come. May
        return sooner."""
        self.empty_now = self.idle = False
        self._seen_wake_token = self.wake_token
        if self._watched_open is not self.sockets.open:
            # A frame may have come before the descriptor was watched: check first.
            self._watch()
            return
        self.idle = due_at is None
        self.poll(_timeout_ms(deadline, due_at), batches)

    def poll(self, timeout_ms: float | None, batches: bool) -> None:
        """Wait for the descriptors, and take the events that come. The path to the socket is
        short, because it is part of every latency."""
        quiet, self.idle, self.empty_now = self.idle, False, False
        waker, fast_path = self.waker, self._fast_path
        if waker is None or self._watched_open is not self.sockets.open:
            return  # another thread has just done that
        empty = True
        for fd, _ in self._poller.poll(timeout_ms):
            sub_socket = self._watched.get(fd)
            if sub_socket is None:
                waker.clear()
                empty = False  # for any reason
            elif fast_path.deferred is not None or not fast_path.may_take():
                empty = False
            else:
                empty &= fast_path.take(sub_socket, batches)
        self.empty_now = empty
        self.idle = quiet and empty

    def take_arrived(self, sub_socket: SubSocket) -> bool:
        """Take the events of a socket with a descriptor that has signalled. Returns whether nothing
        is left there."""
        fast_path = self._fast_path
        if (
            fast_path.deferred is not None
            or fast_path.in_doubt
            or not fast_path.may_take()
        ):
            return False
        return fast_path.take(sub_socket, False)

    def enter(self, sub_socket: SubSocket) -> bool:
        """From now on `wake` interrupts a wait in this socket. False if a thread has woken
        this one before."""
        # From now on its descriptor does not signal new messages.
        self.idle = self.empty_now = False
        with self._wake_lock:
            self.waiting_in = sub_socket
            unseen = self.wake_token is not self._seen_wake_token
        if unseen:
            self.waiting_in = None
        return not unseen

    def _watch(self) -> None:
        """Make a poller of all sockets."""
        poller, waker, sub_sockets = select.poll(), self.waker, self.sockets.open
        if waker is None:
            return
        poller.register(waker.fd, select.POLLIN)
        watched = {sub_socket.fd: sub_socket for sub_socket in sub_sockets}
        for fd in watched:
            poller.register(fd, select.POLLIN)
        only = sub_sockets[0] if len(sub_sockets) == 1 else None
        self._poller, self._watched, self.only_socket = poller, watched, only
        self._watched_open = sub_sockets


def _timeout_ms(*deadlines: float | None) -> float | None:
    """Milliseconds until the first of the deadlines, rounded up; None without a deadline."""
    due = [at for at in deadlines if at is not None]
    if not due:
        return None
    return min(max(0.0, min(due) - time.monotonic()), _MAX_POLL_S) * 1000 + 0.5
