"""Which thread may receive, and the steps of receiving.

Theory of operation
-------------------

One thread at a time receives: it has the *turn*, a lock. Each step with it ends with the next
action, and releases it. The next action goes back to the caller (a burst is ready, no more
will come) or is done without the turn: a report, which calls the user's functions; or *cold*
work.

Cold work is all work that an exception of a signal handler must not interrupt: unusual
frames, due work, the ends of sockets, large events, and work that an earlier exception
interrupted. The main thread has another thread do it, which takes the turn for that
(`pubsub_common.uninterrupted`). So when the wait for it is interrupted, the next receive call
waits for its end, and finds all in order.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from operator import length_hint
from typing import Any, Final, cast

from pubsub_common.errors import PubSubError
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.cold_work import ColdWork
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.fullness import Fullness
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.socket_poller import SocketPoller
from pubsub_subscriber.receiving.socket_wait import SocketWait

# The results of a step.
_AGAIN, _READY, _END, _COLD, _REPORT, _CLOSED = range(6)

# How long after `stop` frames are still taken from the sockets: without a limit, a fast publisher
# would keep a slow subscriber from ending.
_STOP_S: Final = 1.0
# How often another thread is woken until it releases the turn.
_CALL_OUT_S: Final = 0.05


class Turns:
    """Fills the queue. For the receiving thread, except `stop` and `wake`."""

    def __init__(
        self,
        queue: EventQueue,
        performer: Performer,
        fast_path: FastPath,
        check_usable: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.performer = performer
        self.fast_path = fast_path
        self.poller = SocketPoller(performer.sockets, fast_path)
        self.stopping = False
        self.closed = False
        self._check_usable = check_usable
        self._turn: Any = threading.RLock()
        # Whether the calling thread has the turn: the caller is a signal handler or a finalizer
        # inside a receive call. There is no public method for this; `threading.Condition` uses
        # the same one.
        self.is_inside: Callable[[], bool] = cast(Any, self._turn)._is_owned
        self._take_next: Callable[[int], bool] = lambda _patience_ms: False
        self._stop_at = 0.0
        self.socket_wait = SocketWait(self.poller)
        self.cold = ColdWork(queue, performer, fast_path, self.poller)
        self.is_full = Fullness(queue, performer.reports)

    # For any thread

    def stop(self) -> None:
        """Deliver the events that have arrived, for a second at most, then nothing more."""
        if not self.stopping:
            self._stop_at = time.monotonic() + _STOP_S
            self.stopping = True
        self.poller.wake()

    def end(self) -> None:
        """Receive nothing more."""
        self.closed = True
        self.poller.wake()

    def close(self, close: Callable[[], None], timeout_s: float) -> None:
        """End the receive calls of other threads. Call ``close`` when no thread receives, or
        after ``timeout_s`` seconds. Not inside a receive call."""
        self.end()
        deadline = time.monotonic() + timeout_s
        ours = False
        while not ours and time.monotonic() < deadline:
            self.poller.wake()
            ours = self._turn.acquire(timeout=_CALL_OUT_S)
        try:
            if ours:
                self.queue.put_back()
            close()
        finally:
            if ours:
                self._turn.release()

    # For the receiving thread

    def advance(
        self,
        prepare: Callable[[], bool],
        deadline: float | None,
        *,
        batches: bool = False,
        limited: bool = True,
        under_way: bool = False,
    ) -> bool:
        """Receive until ``prepare`` returns True: it has taken the wanted items from the queue.
        False if there will be no more: the limit is reached, `stop` was called, or the
        deadline has passed; or, with the reception ``under_way``, it was disconnected.

        Raises:
            PubSubError: The subscriber is not connected, or this is called inside a receive
                call.
        """
        self._check_outside()
        while True:
            # Also in a forked child, where the turn may never be released.
            if self.closed:
                under_way = under_way and not self.poller.cut_off
                return not under_way and self._has_ended()
            with self._turn: step = self._step(prepare, deadline, batches, limited)  # noqa: E701  # fmt: skip
            if step == _READY:
                return True
            if step == _END:
                return False
            if step == _COLD:
                run_uninterrupted(functools.partial(self._cold, batches), silent=True)
            elif step == _REPORT:
                self.performer.reports.tell()

    def begin(self) -> None:
        """Begin a reception that `advance` continues.

        Raises:
            PubSubError: The subscriber was disconnected.
        """
        if self.closed:
            self._has_ended()

    def fetch(self) -> bool:
        """Receive waiting messages, and do the due work; events wait in the queue. False if
        nothing waited."""
        self._check_outside()
        if self.closed:
            return self._has_ended()
        return run_uninterrupted(self._fetch, silent=True)

    def take_arrived(self, sub_socket: SubSocket) -> bool:
        """Make a burst of the events of a socket with a descriptor that has signalled, if no
        events wait. Returns whether nothing is left there. There is nothing else to do."""
        if self.closed or self.is_inside():
            return False
        with self._turn: return self._take_arrived(sub_socket)  # noqa: E701  # fmt: skip

    def wait(self, deadline: float | None) -> None:
        """Wait for frames, for due work, or for the deadline."""
        self._check_outside()
        self._check_usable()
        with self._turn: self.poller.wait(deadline, self.cold.due_at())  # noqa: E701  # fmt: skip

    def enter_socket(self) -> bool:
        """Begin to wait in the socket, if there is nothing else to wait for. Whether this
        thread may."""
        poller = self.poller
        sub_socket = poller.only_socket
        if self.closed or not poller.idle or sub_socket is None:
            return False
        may_wait = sub_socket.may_wait
        if may_wait is None:
            poller.idle = False
            may_wait = run_uninterrupted(sub_socket.enable_interrupt)
        return may_wait and not self.is_inside() and self.enter(sub_socket)

    def enter(self, sub_socket: SubSocket) -> bool:
        """Begin to wait in this socket, unless events wait or a thread has woken this one
        before."""
        with self._turn: return self._enter(sub_socket)  # noqa: E701  # fmt: skip

    def next_in_socket(self, deadline: float | None) -> bool:
        """Wait in the socket for one message, if there is nothing else to wait for. True if
        a burst of its events is ready. Else everything must be checked, by `advance`. Each
        caller has taken the burst before."""
        poller = self.poller
        if poller.waiting_in is None and not self.enter_socket():
            return False
        # Also in a forked child, where the turn may never be released.
        if self.closed or self.is_inside():
            return False
        patience_ms = -1
        if deadline is not None:
            patience_ms = self.socket_wait.patience_ms(deadline)
            if not patience_ms:
                return False
        # Another thread may have had the turn meanwhile.
        with self._turn: return poller.waiting_in is not None and self._take_next(patience_ms)  # noqa: E701  # fmt: skip

    def _has_ended(self) -> bool:
        """Nothing can be received. Always False."""
        if not self.stopping or self.poller.cut_off:
            self._check_usable()
        return False

    def _check_outside(self) -> None:
        if self.is_inside():
            raise PubSubError("a receive call inside a receive call of this subscriber")

    # Inside, with the turn. Few steps: each runs with cold caches for every event.

    def _step(
        self,
        prepare: Callable[[], bool],
        deadline: float | None,
        batches: bool,
        limited: bool,
    ) -> int:
        queue, poller = self.queue, self.poller
        poller.waiting_in = None
        if self.performer.reports and not length_hint(queue.burst):
            return _REPORT
        if self.fast_path.in_doubt:
            return _COLD
        step = _AGAIN
        while not prepare():
            if step != _AGAIN:
                return step
            queue.has_batches |= batches
            if (
                not queue.wanted()
                if limited
                else poller.waker is None or self.is_full()
            ):
                return _END
            if self.fast_path.deferred is not None:
                return _COLD
            # Nearly always, unless there is much work.
            if poller.idle and deadline is None:
                poller.poll(None, batches)
            else:
                step = self._look_or_wait(deadline, batches)
        return _READY

    def _look_or_wait(self, deadline: float | None, batches: bool) -> int:
        poller, cold = self.poller, self.cold
        now = time.monotonic()
        if self.closed:
            return _CLOSED
        if poller.waker is None:
            self._has_ended()
            return _END
        if self.stopping and now >= self._stop_at:
            return _END
        if poller.sockets.retired:
            return _COLD
        # Without a wait, check.
        if not poller.empty_now or deadline is not None or self.stopping:
            if cold.is_urgent(now):
                return _COLD
            if self.fast_path.may_take():
                if poller.look(batches):
                    return _AGAIN
            elif not (cold.has_looked() and poller.empty_now):
                return _COLD
        if self.stopping:
            return _END
        if cold.is_due(now):
            return _COLD
        self._check_usable()
        if deadline is not None and time.monotonic() >= deadline:
            return _END
        poller.wait(deadline, cold.due_at(), batches)
        return _AGAIN

    def _enter(self, sub_socket: SubSocket) -> bool:
        poller = self.poller
        if self.queue.waits() or poller.only_socket is not sub_socket:
            return False
        self._take_next = self.fast_path.waiting_in(sub_socket)
        return poller.enter(sub_socket)

    def _take_arrived(self, sub_socket: SubSocket) -> bool:
        queue = self.queue
        if queue.waits():
            return False
        empty = self.poller.take_arrived(sub_socket)
        if queue.taken < queue.plain_until:  # without a call of the user's function
            queue.start_burst()
        return empty

    # Inside, where it cannot be interrupted

    def _cold(self, batches: bool) -> None:
        with self._turn:
            self.queue.has_batches |= batches
            self.cold.work(batches)

    def _fetch(self) -> bool:
        with self._turn:
            if self.closed or self.poller.waker is None:
                return False
            if self.stopping and time.monotonic() >= self._stop_at:
                return False
            return self.cold.fetch()
