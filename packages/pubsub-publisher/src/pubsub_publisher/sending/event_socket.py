"""The XPUB socket of a publisher: sends events, alone or in batches.

Theory of operation
-------------------
Events leave in the caller's thread, straight into the XPUB socket. Who looks after what comes
in on it is told in `pubsub_publisher.sending.xpub_socket`.

Who publishes without a pause, one call less than `_PAUSE_NS` after the other, is limited
by what a message costs. From the event number `_STREAK` of such a streak on, events are
gathered into batches (`pubsub_common.protocol.batches`), which are sent when they are full, or
a millisecond old. The next event finds that out, or else the control thread, which looks
once in a millisecond while batches are open. Whoever pauses has each event sent at once.

Sequence numbers are taken under the socket's lock, and a topic's open batch is sent before
anything else of the topic, so numbers leave in order. A ready answer promises the first
number that has not left.

Where a history is kept, every event that leaves is put into it under the same lock. Subscribers
request missed events from it (`pubsub_publisher.subscriptions.request_handler`).
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import zmq

from pubsub_common.protocol.batches import encode_batch_body
from pubsub_common.protocol.events import encode_body, encode_large_event
from pubsub_publisher.sending.xpub_socket import RECHECK_S, Frame, XpubSocket
from pubsub_publisher.topics.topic_state import (
    MAX_BATCH_AGE_NS,
    TopicState,
    batch_limit,
)

_MAX_BATCH_AGE_S: Final = MAX_BATCH_AGE_NS / 1e9
# A blocked send lets go of the socket this often, for the control thread's sake.
_BLOCKED_MS: Final = 20
_YIELD_S: Final = 0.0005
# From here on a copy of a payload costs more than the work that avoids it.
_LARGE_BYTES: Final = 4096
# And from here on a message of its own costs little beside the payload.
_UNBATCHED_BYTES: Final = 32_768
_PAUSE_NS: Final = 20_000
_STREAK: Final = 64
_NOBLOCK: Final = int(zmq.NOBLOCK)


class EventSocket(XpubSocket):
    """The XPUB socket of a publisher. What it sends is for any thread, `serve` for the
    control thread.

    ``address`` and ``session`` go into every event; the owner sets them.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Mapping[str, TopicState],
        now_ns: Callable[[], int],
        queue_limit: int,
        *,
        blocking: bool,
        stopped: Callable[[], bool],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``blocking``: a full queue makes senders wait until ``stopped`` says so; else
        the events for it are dropped. The age of a batch goes by ``monotonic_ns``, as
        the clock of the stamps may be set."""
        super().__init__(context, topics, queue_limit)
        self._accepting = True
        self._now_ns = now_ns
        self._monotonic_ns = monotonic_ns
        self._stopped = stopped
        if blocking:
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
            self.socket.sndtimeo = _BLOCKED_MS
        # Under the lock: topics with an open batch; the control thread looks after them.
        self._open_batches: set[TopicState] = set()
        self._batches_watched = False
        # Under block a waiting event lets go of the socket; this keeps waiting ones in
        # order.
        self._waiting_order = threading.Lock()

    # Sending

    def sender(
        self, topic: TopicState, *, waiting: bool = True
    ) -> Callable[[bytes], int]:
        """What stamps, numbers and sends the events of a topic, given their payload. It
        returns the stamp; 0 when this is closed, or was stopped while it waited for
        room, and the event then is not sent. Without ``waiting`` an event for which
        there is no room is not sent either, and what is returned is its stamp, negative,
        for `try_send`.

        A closure, because this is called for every event: what does not change is
        looked up once. `address` and `session` must be set.
        """
        acquire, release = self.lock.acquire, self.lock.release
        now_ns, encode, sending, full = self._now_ns, encode_body, self._send, zmq.Again
        flags = 0 if waiting else _NOBLOCK
        prefix, address, session = topic.prefix, self.address, self.session
        history = topic.history
        last_ns = streak = limit = begun_ns = 0

        def send(payload: bytes) -> int:
            nonlocal last_ns, streak, limit, begun_ns
            acquire()
            try:
                if not self._accepting:
                    return 0
                stamp_ns = now_ns()
                pause_ns = stamp_ns - last_ns
                last_ns = stamp_ns
                stamps_ns = topic.stamps_ns
                if pause_ns > _PAUSE_NS:
                    streak //= 2  # it may have been the scheduler
                elif streak < _STREAK:
                    streak += 1
                elif len(payload) < _UNBATCHED_BYTES:
                    if not stamps_ns:
                        self._open_batch(topic)
                        limit = batch_limit(len(payload))
                        begun_ns = stamp_ns
                    elif (
                        len(stamps_ns) >= limit
                        or stamp_ns - begun_ns >= MAX_BATCH_AGE_NS
                    ):
                        self._flush(topic, flags)
                        self._open_batch(topic)
                        limit = batch_limit(len(payload))
                        stamps_ns = topic.stamps_ns
                        # Our own work is not a pause, and the wait for room is no
                        # reason to send the next batch early.
                        begun_ns = last_ns = now_ns()
                    elif len(payload) >= _LARGE_BYTES:
                        limit = min(limit, batch_limit(len(payload)))
                    stamps_ns.append(stamp_ns)
                    topic.payloads.append(payload)
                    return stamp_ns
                if stamps_ns:
                    self._flush(topic, flags)
                stamp_ns = now_ns()
                fields = (address, session, topic.next_sequence, stamp_ns, payload)
                if len(payload) < _LARGE_BYTES:
                    sending(prefix + encode(fields), flags)
                else:
                    sending(encode_large_event(prefix, *fields), flags)
                topic.next_sequence += 1
                if history is not None:
                    history.add(stamp_ns, payload)
                if stamp_ns >= self.drain_at_ns or not self._drain_due:
                    self._after_send(stamp_ns)
                last_ns = now_ns()  # our own work is not a pause
                return stamp_ns
            except full:
                pass
            finally:
                release()
            if not waiting:
                return -stamp_ns
            # The event keeps its stamp: the wait is part of its latency.
            sent = self._send_waiting(topic, [stamp_ns], [payload])
            return stamp_ns if sent else 0

        return send

    def try_send(
        self, topic: TopicState, stamps_ns: list[int], payloads: list[bytes]
    ) -> bool | None:
        """Number and send events, with the stamps that they were given, in one message.
        False when this is closed, None when there is no room."""
        return self._try_send(topic, stamps_ns, payloads, _NOBLOCK)

    def add_to_batch(
        self, topic: TopicState, payload: bytes, limit: int, size: int
    ) -> bool:
        """Stamp and number an event, and put it into its topic's batch, which is sent
        first if it has ``limit`` events, ``size`` bytes or its age. False when this is
        closed, or was stopped while it waited for room."""
        with self.lock:
            stamp_ns = self._now_ns()
            if self._add_to_batch(topic, payload, stamp_ns, limit, size):
                return True
        if not self.flush(topic):
            return False
        with self.lock:
            return self._add_to_batch(
                topic, payload, stamp_ns, sys.maxsize, sys.maxsize
            )

    def send_batch(self, topic: TopicState, payloads: list[bytes]) -> bool:
        """Stamp, number and send events in one message; False when this is closed, or
        was stopped while it waited for room."""
        with self.lock:
            if not self._accepting:
                return False
            now_ns = self._now_ns
            stamps_ns = [now_ns() for _ in payloads]
            try:
                self._flush(topic, 0)
                self._send(self._encode(topic, stamps_ns, payloads), 0)
            except zmq.Again:
                self.drain()  # waiting for room swallows wake-ups too
            else:
                topic.mark_sent(stamps_ns, payloads)
                self._after_send(now_ns())
                return True
        return self._send_waiting(topic, stamps_ns, payloads)

    def flush(self, topic: TopicState) -> bool:
        """Send a topic's open batch, waiting for room; False when this is closed or
        stopped first."""
        return self._send_waiting(topic, [], [])

    def flush_all(self, timeout_s: float) -> None:
        """Send all open batches, even when this is stopped, as far as there is room
        within the time."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self.lock:
                self._flush_open_batches(0)
                if not self._open_batches or time.monotonic() >= deadline:
                    return
            time.sleep(_YIELD_S)

    def reserve_number(self, topic: TopicState, stamp_ns: int, payload: bytes) -> int:
        """A number for an event that somebody else sends; -1 when this was stopped
        while it waited for room for those before it."""
        while True:
            with self.lock:
                if not topic.stamps_ns:
                    topic.mark_sent([stamp_ns], [payload])
                    return topic.next_sequence - 1
            if not self.flush(topic):
                return -1

    def refuse_events(self) -> None:
        """From here on no event is taken any more. For signal handlers too: the caller
        need not hold the lock; the thread that holds it has its event sent."""
        self._accepting = False

    @property
    def waiting(self) -> bool:
        """Whether a sender waits for room. For any thread."""
        return self._waiting_order.locked()

    # In the control thread

    def serve(self) -> float | None:
        """Drain subscriptions, and send batches that are old enough. Returns the seconds
        after which it wants to be called again, if it does."""
        # Waiting for the lock would make each release of it a system call, at the cost of
        # senders at full speed. The thread that holds it drains and sends batches itself.
        if not self.lock.acquire(blocking=False):
            time.sleep(_YIELD_S)
            return _MAX_BATCH_AGE_S if self._batches_watched else RECHECK_S
        try:
            self._check_socket()
            self._flush_open_batches(MAX_BATCH_AGE_NS)
            self._batches_watched = bool(self._open_batches)
            position_s = self._send_positions()
            return (
                _MAX_BATCH_AGE_S
                if self._batches_watched
                else self._next_check_s(position_s)
            )
        finally:
            self.lock.release()

    # Inside

    def _add_to_batch(
        self, topic: TopicState, payload: bytes, stamp_ns: int, limit: int, size: int
    ) -> bool:
        """Put an event into a batch; False when the full one before must be sent and
        there is no room, or this is closed. The caller holds the lock."""
        if not self._accepting:
            return False
        stamps_ns = topic.stamps_ns
        if stamps_ns and (
            len(stamps_ns) >= limit
            or topic.batch_bytes >= size
            or stamp_ns - stamps_ns[0] >= MAX_BATCH_AGE_NS
        ):
            try:
                self._flush(topic, 0)
            except zmq.Again:
                self.drain()
                return False
        if not topic.stamps_ns:
            self._open_batch(topic)
        topic.stamps_ns.append(stamp_ns)
        topic.payloads.append(payload)
        topic.batch_bytes += len(payload)
        return True

    def _open_batch(self, topic: TopicState) -> None:
        """A batch begins: see that somebody looks after it. The caller holds the
        lock."""
        topic.batch_begun_ns = self._monotonic_ns()
        self._open_batches.add(topic)
        if not self._batches_watched:
            self._batches_watched = True
            self.wake()

    def _flush(self, topic: TopicState, flags: int = _NOBLOCK) -> None:
        """Send a topic's open batch, if there is one. The caller holds the lock.

        Raises:
            zmq.Again: there is no room; nothing has changed.
        """
        count = len(topic.stamps_ns)
        if not count:
            return
        # Not by `_encode`: a call less, and one event that was gathered is not large.
        start = (self.address, self.session, topic.next_sequence)
        if count == 1:
            body = encode_body((*start, topic.stamps_ns[0], topic.payloads[0]))
        else:
            body = encode_batch_body(*start, topic.stamps_ns, topic.payloads)
        self._send(topic.prefix + body, flags)
        topic.mark_sent(topic.stamps_ns, topic.payloads)
        topic.clear_batch()
        self._open_batches.discard(topic)
        self._after_send(self._now_ns())

    def _flush_open_batches(self, age_ns: int) -> None:
        """Send batches that are at least so old, where there is room. The caller holds
        the lock."""
        batch_begun_ns = self._monotonic_ns() - age_ns
        for topic in tuple(self._open_batches):
            if topic.batch_begun_ns <= batch_begun_ns:
                with contextlib.suppress(zmq.Again):
                    self._flush(topic)

    def _encode(
        self, topic: TopicState, stamps_ns: list[int], payloads: list[bytes]
    ) -> Frame:
        """The topic's next events in one message. The caller holds the lock."""
        start = (self.address, self.session, topic.next_sequence)
        if len(payloads) == 1:
            return encode_large_event(topic.prefix, *start, stamps_ns[0], payloads[0])
        return topic.prefix + encode_batch_body(*start, stamps_ns, payloads)

    def _send_waiting(
        self, topic: TopicState, stamps_ns: list[int], payloads: list[bytes]
    ) -> bool:
        """Send a topic's open batch, and then these events, if any, in one message, when
        there is room; False when closed or stopped first."""
        with self._waiting_order:
            while True:
                sent = self._try_send(topic, stamps_ns, payloads, 0)
                if sent is not None:
                    return sent
                if self._stopped():
                    return False
                # Python's locks are not fair: give the control thread its turn.
                time.sleep(_YIELD_S)

    def _try_send(
        self,
        topic: TopicState,
        stamps_ns: list[int],
        payloads: list[bytes],
        flags: int,
    ) -> bool | None:
        """As `_send_waiting`, once; None when there is no room."""
        with self.lock:
            if not self._accepting:
                return False
            try:
                self._flush(topic, flags)
                if payloads:
                    self._send(self._encode(topic, stamps_ns, payloads), flags)
            except zmq.Again:
                self.drain()
                return None
            topic.mark_sent(stamps_ns, payloads)
            self._after_send(self._now_ns())
            return True
