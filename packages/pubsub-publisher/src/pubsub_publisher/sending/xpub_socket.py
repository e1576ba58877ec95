"""The XPUB socket of a publisher: who may use it, and what comes in on it.

Theory of operation
-------------------
**One at a time.** libzmq's sockets are not thread safe, so whoever uses this one holds its
lock. An exception from outside (Ctrl-C, a timeout by SIGALRM: a signal handler that raises)
may come at any bytecode in between. Therefore

* the lock is only taken by ``with``, on one line with all that is done under it. Nothing can
  come between the lock and the body of the ``with``, nor, on one line, between its last step
  and the release, not even the exception of a trace function.
* whoever holds the lock sets `inside` first and clears it last. Who finds it set on entering
  knows that the one before was cut short, and repairs what that may have left half done
  (`_repair`). So no cleanup is relied on.

A signal handler, a finalizer or a logging handler may come in between as well, and publish. Its
thread then holds the lock already, so it must not wait for it: `nested` looks at the stack, only
when `inside` is set.

**What comes in** on an XPUB socket are subscriptions, among them the requests of subscribers
(`pubsub_publisher.core`), which must be answered even while nothing is published. The control
thread receives them: the main thread must not, because an exception from outside may lose what
was just received. It waits for the socket's file descriptor, whose wake-up a send may swallow
(see `pubsub_common.net.sockets`). So the sending thread looks after a send, if it has not done
so for half a millisecond. If something has come in, it wakes the control thread and, at its
next event, pauses for a moment to let it have the lock. Within that half millisecond it leaves
a note, and the control thread looks after at most `RECHECK_S`, again and again while there are new
notes. A slow publisher thus never wakes its control thread, and a fast one has it look 50
times a second, whatever its rate.

The control thread takes in a portion of messages at a time and lets go of the lock in between:
thousands of subscriptions hold up no event for longer than a portion takes.
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
# How long the control thread waits for senders to stand back.
_PATIENCE_S: Final = 0.005
LOOK_EVERY_NS: Final = 500_000
RECHECK_S: Final = 0.02
# Who lacks events when we leave, asks for them within this time of the last answer.
_LAST_REQUEST_S: Final = 1.0
_CHECK_S: Final = 0.005
# How long a sender stands back when the control thread wants the lock.
_STAND_BACK_S: Final = 0.0001

OCCUPIED: Final = (
    "not in a signal handler, finalizer or logging handler that interrupts this "
    "publisher's own work: call it in another thread"
)

_R = TypeVar("_R")


@uses_sections
class XpubSocket(DataSocket):
    """The XPUB socket of a publisher. The class that sends on it
    (`pubsub_publisher.sending.event_socket`) has `_repair`, and calls `_after_send`."""

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
        # Somebody uses the socket, or was cut short.
        self.inside = False
        # Something waits for the control thread, which cannot get the lock: senders
        # stand back.
        self.attention = False
        self.port = 0  # where it is bound; the owner sets it
        # Called to have the control thread look soon.
        self.wake: Callable[[], None] = lambda: None
        self.look_at_ns = 0
        # Without pyzmq's wrapper for draft options, a third of the time of a send.
        backend: Any = zmq.backend.Socket
        self._send: Callable[[Frame, int], Any] = backend.send.__get__(self.socket)
        self._poll = zmq.backend.zmq_poll
        self._polled = [(self.socket, zmq.POLLIN)]
        # Under the lock: a send was not followed by a look; the control thread will
        # look within `RECHECK_S`.
        self._look_due = False
        self._recheck_due = False
        # Topics have gathered events, and the control thread knows.
        self._batches_watched = False
        # In the control thread: more has come in than one portion.
        self._more_to_do = False
        # Used by the control thread, and after its end by the one that closes.
        self._core = core
        self._incoming = Incoming(self, core, self._send)
        # What decides about subscriptions, where not everybody may have everything.
        self.guard: SubscriptionGuard | None = None
        # What watches the connections, from when this is bound.
        self.port_guard: PortGuard | None = None

    def readable(self) -> bool:
        """As a `DataSocket` does, but other threads run meanwhile, among them the guard of the
        port: libzmq takes in all subscriptions that a flood brings, as long as there are
        more."""
        return bool(self._poll(self._polled, 0))

    @property
    def registered(self) -> bool:
        """Whether there is a session to reply with."""
        return self._core.session >= 0

    def nested(self) -> bool:
        """Whether the calling thread came here from a signal handler (or finalizer, or
        logging handler) that interrupted its own use of the socket. It may say so wrongly
        while another thread is inside. The lock is asked, because the garbage collector may
        run a finalizer when `inside` is not yet or no longer noted."""
        return self.lock.locked() and interrupts_sections()

    def disconnect_clients(self, keys: Iterable[str]) -> None:
        """End the connections of the clients with these keys."""
        if self.guard is not None:
            self._enter(self.guard.recheck, keys)

    def serve_last_requests(self, timeout_s: float) -> list[Effect]:
        """After deregistration and before this closes, answer requests for missed events, at
        most ``timeout_s`` seconds. No other thread uses the socket any more.

        The broker has told subscribers how far each topic went, if there is one; so do we,
        once more. Those that are connected here leave when they have it all; behind a broker
        nobody is seen to leave, so the time since the last question counts.
        """
        effects: list[Effect] = []
        begun_at = now = time.monotonic()
        self._core.tell_positions(now)
        while now < min(
            begun_at + timeout_s,
            max(begun_at, self._core.last_request_at) + _LAST_REQUEST_S,
        ):
            # So that those who leave have left before they are looked for.
            while self._enter(self._take_in, effects):
                pass
            if not self._core.positions_wanted:
                break
            time.sleep(_CHECK_S)
            now = time.monotonic()
        return effects

    # In the control thread

    def serve(self, effects: list[Effect]) -> float | None:
        """Take in subscriptions, and send batches that are old enough. Adds what others
        are to do to ``effects``. Returns the seconds after which it wants to be called
        again, if it does."""
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
            self.inside = False
            return again_s
        except zmq.Again:
            return RECHECK_S
        finally:
            self.lock.release()

    # For the class that sends on it

    def _repair(self) -> None:
        """Complete what the one before was cut short in. The caller holds the lock."""
        raise NotImplementedError

    def _flush_old(self, age_ns: int) -> bool:
        """Send what has been gathered for at least so long, where there is room; whether
        nothing is left. The caller holds the lock."""
        raise NotImplementedError

    def _enter(self, work: Callable[..., _R], *args: Any) -> _R:
        """Do ``work`` under the lock.

        Raises:
            PubSubError: the calling thread is in the midst of using the socket.
            zmq.Again: there is no room for what must be sent first.
        """
        if self.nested():
            raise PubSubError(OCCUPIED)
        with self.lock: left, self.inside = self.inside, True; done = self._work(left, work, args); self.inside = False  # noqa: E501, E701, E702  # fmt: skip
        return done

    def _work(self, left: bool, work: Callable[..., _R], args: tuple[Any, ...]) -> _R:
        if left:
            self._repair()
        return work(*args)

    def _stand_back(self) -> None:
        """Let the control thread have the lock, which it has asked for."""
        self.attention = False
        time.sleep(_STAND_BACK_S)

    def _after_send(self, now_ns: int) -> None:
        """See to what a send may have swallowed. The caller holds the lock. A thread is
        woken before that is noted: it may be woken twice, but not forgotten."""
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
