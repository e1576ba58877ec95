"""The XPUB socket of a publisher: its lock, and its incoming messages.

Theory of operation
-------------------

**One at a time.** libzmq's sockets are not thread safe, so a thread holds the lock while it
uses this one. An exception from outside (Ctrl-C, a timeout by SIGALRM: a signal handler that
raises) may come at any bytecode in between. Therefore

* the lock is only taken by ``with``, on one line with all the work under it. Nothing can come
  between the lock and the body of the ``with``, nor, on one line, between its last step and
  the release, not even the exception of a trace function.
* the holder of the lock sets `inside` first and clears it last. A thread that finds it set on
  entry knows that the previous call was interrupted, and repairs its unfinished work
  (`_repair`). So no cleanup is needed for correctness.

A signal handler, a finalizer or a logging handler may also interrupt this code and publish.
Its thread then holds the lock already, so it must not wait for it: `nested` checks the stack,
only when `inside` is set.

**Incoming messages** of an XPUB socket are subscriptions, among them the requests of
subscribers (`pubsub_publisher.core`). They need replies even while nothing is published. The
control thread receives them: in the main thread, an exception from outside could lose a
received message. The control thread waits for the socket's file descriptor, but a send may
swallow its wake-up (see `pubsub_common.net.sockets`). So the sending thread checks for
messages after a send, unless it has done so within half a millisecond. If there are any, it
wakes the control thread and, at its next event, pauses for a moment so that the control
thread gets the lock. Within that half millisecond the sending thread sets a flag, and the
control thread checks within `RECHECK_S`, as long as the flag is set again. So a slow
publisher never wakes its control thread, and with a fast one the thread checks 50 times a
second, at any rate.

The control thread receives a portion of messages at a time and releases the lock in between:
thousands of subscriptions delay no event for longer than a portion takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.net.sockets import DataSocket
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import Effect, PublisherCore
from pubsub_publisher.sending.frame_encoder import Frame
from pubsub_publisher.sending.incoming import Incoming
from pubsub_publisher.sending.sections import interrupts_sections, uses_sections
from pubsub_publisher.topics.topic_state import MAX_BATCH_AGE_NS, TopicState

if TYPE_CHECKING:
    from pubsub_common.security.port_guard import PortGuard
    from pubsub_common.security.subscription_guard import SubscriptionGuard

_MAX_BATCH_AGE_S: Final = MAX_BATCH_AGE_NS / 1e9
_YIELD_S: Final = 0.0005
# How long the control thread waits until senders release the lock.
_PATIENCE_S: Final = 0.005
LOOK_EVERY_NS: Final = 500_000
RECHECK_S: Final = 0.02
# At the end, subscribers request missing events within this time of the last reply.
_LAST_REQUEST_S: Final = 1.0
_CHECK_S: Final = 0.005
# How long a sender waits when the control thread wants the lock.
_STAND_BACK_S: Final = 0.0001

OCCUPIED: Final = (
    "not in a signal handler, finalizer or logging handler that interrupts this "
    "publisher's own work: call it in another thread"
)

_R = TypeVar("_R")


@uses_sections
class XpubSocket(DataSocket):
    """The XPUB socket of a publisher. The subclass that sends
    (`pubsub_publisher.sending.event_socket`) implements `_repair` and calls `_after_send`."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Mapping[str, TopicState],
        core: PublisherCore,
        bounds: QueueBounds,
    ) -> None:
        super().__init__(context, zmq.XPUB, bounds)
        self.bounds = bounds
        self.topics = topics
        # A thread uses the socket, or was interrupted while it did, or has left work to
        # `_repair`, which this describes.
        self.inside = False
        self._in_doubt: Any = None
        # The control thread has work and cannot get the lock: senders wait.
        self.attention = False
        self.port = 0  # where it is bound; the owner sets it
        # Makes the control thread check soon.
        self.wake: Callable[[], None] = lambda: None
        self.look_at_ns = 0
        # Without pyzmq's wrapper for draft options, which takes a third of the time of a send.
        backend: Any = zmq.backend.Socket
        self._send: Callable[[Frame, int], Any] = backend.send.__get__(self.socket)
        self._poll = zmq.backend.zmq_poll
        self._polled = [(self.socket, zmq.POLLIN)]
        # Under the lock: no check followed the last send; the control thread will check
        # within `RECHECK_S`.
        self._look_due = False
        self._recheck_due = False
        # Topics have gathered events, and the control thread will check them.
        self._batches_watched = False
        # In the control thread: more has come in than one portion.
        self._more_to_do = False
        # Used by the control thread, and after its end by the thread that closes.
        self._core = core
        self._incoming = Incoming(self, core, self._send)
        # Decides about subscriptions, where topics need permission.
        self.guard: SubscriptionGuard | None = None
        # Watches the connections, once this is bound.
        self.port_guard: PortGuard | None = None

    def readable(self) -> bool:
        """As in `DataSocket`, but other threads run meanwhile, among them the guard of the
        port: libzmq receives all subscriptions of a flood in one call."""
        return bool(self._poll(self._polled, 0))

    @property
    def registered(self) -> bool:
        """Whether there is a session to reply with."""
        return self._core.session >= 0

    def nested(self) -> bool:
        """Whether the calling thread runs a signal handler, finalizer or logging handler that
        interrupted its own use of the socket. While another thread uses the socket, the
        answer may wrongly be yes. The lock is checked, because the garbage collector may
        run a finalizer before `inside` is set or after it is cleared."""
        return self.lock.locked() and interrupts_sections()

    def disconnect_clients(self, keys: Iterable[str]) -> None:
        """Close the connections of the clients with these keys."""
        if self.guard is not None:
            self._enter(self.guard.recheck, keys)

    def serve_last_requests(self, timeout_s: float) -> list[Effect]:
        """After deregistration and before this closes, answer requests for missed events, for at
        most ``timeout_s`` seconds. No other thread uses the socket any more.

        The last number of each topic is sent again to subscribers. Subscribers that are
        connected here disconnect when they have all events. Behind a broker no disconnection
        is visible, so the time since the last request decides.
        """
        effects: list[Effect] = []
        begun_at = now = time.monotonic()
        self._core.tell_positions(now)
        while now < min(
            begun_at + timeout_s,
            max(begun_at, self._core.last_request_at) + _LAST_REQUEST_S,
        ):
            # Subscribers that disconnect are then gone before the check.
            while self._enter(self._take_in, effects):
                pass
            if not self._core.positions_wanted:
                break
            time.sleep(_CHECK_S)
            now = time.monotonic()
        return effects

    # In the control thread

    def serve(self, effects: list[Effect]) -> float | None:
        """Receive subscriptions, and send batches that are old enough. Effects for other
        classes are added to ``effects``. Returns the seconds after which it must be called
        again; None: no time."""
        wanted = self.attention or self._more_to_do
        if self._more_to_do:
            time.sleep(_YIELD_S)  # Python's locks are not fair
        if wanted:
            self.attention = True
            got = self.lock.acquire(timeout=_PATIENCE_S)
        else:
            # Waiting for the lock would make each release of it a system call, at the cost
            # of senders at full speed.
            got = self.lock.acquire(blocking=False)
        if not got:
            if not wanted:
                time.sleep(_YIELD_S)
            soon = wanted or self._batches_watched
            return _MAX_BATCH_AGE_S if soon else RECHECK_S
        try:
            left, self.inside = self.inside, True
            again_s = self._work(left, self._serve, (effects,))
            self.inside = self._in_doubt is not None
            return again_s
        except zmq.Again:
            return RECHECK_S
        finally:
            self.lock.release()

    # For the class that sends on it

    def _repair(self) -> None:
        """Complete the work of an interrupted call. The caller holds the lock."""
        raise NotImplementedError

    def _flush_old(self, age_ns: int) -> bool:
        """Send the events that were gathered at least so long ago, while there is room.
        Returns whether none is left. The caller holds the lock."""
        raise NotImplementedError

    def _enter(self, work: Callable[..., _R], *args: Any) -> _R:
        """Do ``work`` under the lock.

        Raises:
            PubSubError: The calling thread is using the socket.
            zmq.Again: There is no room for events that must be sent first.
        """
        if self.nested():
            raise PubSubError(OCCUPIED)
        with self.lock: left, self.inside = self.inside, True; done = self._work(left, work, args); self.inside = self._in_doubt is not None  # noqa: E501, E701, E702  # fmt: skip
        return done

    def _work(self, left: bool, work: Callable[..., _R], args: tuple[Any, ...]) -> _R:
        if left:
            self._repair()
        return work(*args)

    def _stand_back(self) -> None:
        """Let the control thread, which waits for the lock, have it."""
        self.attention = False
        time.sleep(_STAND_BACK_S)

    def _after_send(self, now_ns: int) -> None:
        """Check for a wake-up that the send may have swallowed. The caller holds the lock. A
        thread is woken before that is recorded: it may be woken twice, but is never
        forgotten."""
        if now_ns >= self.look_at_ns:
            self.look_at_ns = now_ns + LOOK_EVERY_NS
            if self.readable():
                self.wake()
                self.attention = True
            return
        self._look_due = True
        if not self._recheck_due:
            self.wake()
            self._recheck_due = True

    # In the control thread, which holds the lock

    def _serve(self, effects: list[Effect]) -> float | None:
        self.attention = False
        self._more_to_do = self._take_in(effects)
        self._flush_old(MAX_BATCH_AGE_NS)
        self._recheck_due, self._look_due = self._look_due, False
        if self._more_to_do:
            return 0.0
        if self._batches_watched:
            return _MAX_BATCH_AGE_S
        due_at = self._core.next_deadline()
        left_s = None if due_at is None else max(0.0, due_at - time.monotonic())
        if self._recheck_due:
            return RECHECK_S if left_s is None else min(RECHECK_S, left_s)
        return left_s

    def _take_in(self, effects: list[Effect]) -> bool:
        return self._incoming.take_in(effects, self.guard, self.port_guard)
