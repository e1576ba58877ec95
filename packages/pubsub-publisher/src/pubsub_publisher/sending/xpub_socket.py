"""The XPUB socket of a publisher: receives subscriptions and answers requests.

Theory of operation
-------------------
What comes in on an XPUB socket are subscriptions, among them the ready subscriptions of the
handshake (see `pubsub_common.protocol.events`), which must be answered even while nothing is
published. So the control thread waits for the socket's file descriptor, and looks.

A send may swallow the wake-up of the file descriptor (see `pubsub_common.net.sockets`).
Therefore the sending thread drains too: after a send, if it has not done so for a
millisecond. Within that millisecond it leaves a note, and the control thread looks
after at most `RECHECK_S`, again and again while there are new notes. A slow publisher
thus never wakes its control thread, and a fast one has it look 50 times a second,
whatever its rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import zmq

from pubsub_common.net.sockets import DataSocket
from pubsub_publisher.subscriptions.request_handler import RequestHandler
from pubsub_publisher.topics.topic_state import TopicState

if TYPE_CHECKING:
    from pubsub_common.security.subscription_guard import SubscriptionGuard

DRAIN_EVERY_NS: Final = 500_000
RECHECK_S: Final = 0.02
# Who lacks events when we leave, asks for them within this time of the last answer.
_LAST_REQUEST_S: Final = 1.0
_CHECK_S: Final = 0.005

Frame = bytes | bytearray


class XpubSocket(DataSocket):
    """The XPUB socket of a publisher. The class that sends on it
    (`pubsub_publisher.sending.event_socket`) calls `_after_send` then.

    ``address`` and ``session`` go into every reply; the owner sets them.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Mapping[str, TopicState],
        queue_limit: int,
    ) -> None:
        super().__init__(context, zmq.XPUB, queue_limit)
        self.topics = topics
        self.address = ""
        self.session = -1
        # Called to have the control thread look soon.
        self.wake: Callable[[], None] = lambda: None
        self.drain_at_ns = 0
        # Without pyzmq's wrapper for draft options, a third of the time of a send.
        backend: Any = zmq.backend.Socket
        self._send: Callable[[Frame, int], Any] = backend.send.__get__(self.socket)
        # Under the lock: a send was not followed by a drain; the control thread will
        # look within `RECHECK_S`.
        self._drain_due = False
        self._recheck_due = False
        self.requests = RequestHandler(topics, self._send)
        # What decides about subscriptions, where not everybody may have everything.
        self.guard: SubscriptionGuard | None = None

    def drain(self) -> None:
        """Take in subscriptions and answer those that ask. The caller holds the
        lock."""
        receive = self.receive if self.guard is None else self.guard.receive
        while True:
            while (message := receive()) is not None:
                self.requests.receive(message)
            if self.session < 0 or not self.requests.pending:
                return
            self.requests.send_replies(self.address, self.session)
            if self.requests.pending:
                return  # for room; the next drain tries again
            # An answer is a send as well, and may have swallowed a wake-up.

    def disconnect_clients(self, keys: Iterable[str]) -> None:
        """End the connections of the clients with these keys."""
        if self.guard is not None:
            with self.lock:
                self.guard.recheck(keys)

    def serve_last_requests(self, timeout_s: float) -> None:
        """After deregistration and before this closes, answer requests for missed events, at
        most ``timeout_s`` seconds. No other thread uses the socket any more.

        The broker has told subscribers how far each topic went, if there is one; so do we,
        once more. Those that are connected here leave when they have it all; behind a broker
        nobody is seen to leave, so the time since the last question counts.
        """
        self.requests.send_positions_soon()
        deadline = time.monotonic() + timeout_s
        quiet_at = time.monotonic() + _LAST_REQUEST_S
        while (now := time.monotonic()) < min(deadline, quiet_at):
            with self.lock:
                self.drain()
                if not self.requests.positions_wanted:
                    return
                self.requests.send_positions(self.address, self.session, now=now)
                quiet_at = max(
                    quiet_at, self.requests.last_request_at + _LAST_REQUEST_S
                )
            time.sleep(_CHECK_S)

    # For the class that sends on it

    def _after_send(self, now_ns: int) -> None:
        """See to what a send may have swallowed. The caller holds the lock."""
        if now_ns >= self.drain_at_ns:
            self.drain_at_ns = now_ns + DRAIN_EVERY_NS
            self.drain()
            return
        self._drain_due = True
        if not self._recheck_due:
            self._recheck_due = True
            self.wake()

    # In the control thread, which holds the lock

    def _check_socket(self) -> None:
        """Drain, and see whether to look again."""
        self.drain()
        self._recheck_due = self._drain_due or self.requests.pending
        self._drain_due = False

    def _send_positions(self) -> float | None:
        """Tell how far we are, if it is time to; the seconds until the next time, None
        while nobody wants to know."""
        if self.session < 0:
            return None
        return self.requests.send_positions(
            self.address, self.session, now=time.monotonic()
        )

    def _next_check_s(self, position_s: float | None) -> float | None:
        """The seconds after which to look again, if at all; after ``position_s``, if that
        is not None, to tell positions."""
        if self.readable():
            return 0.0  # what was sent here swallowed the wake-up
        return RECHECK_S if self._recheck_due else position_s
