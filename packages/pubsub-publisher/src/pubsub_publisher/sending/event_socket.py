"""The XPUB socket of a publisher: sends events, alone or in batches.

Theory of operation
-------------------
Events leave in the caller's thread, straight into the XPUB socket. How exceptions from outside
are survived, and how what comes in on the socket is looked after, is told in
`pubsub_publisher.sending.xpub_socket`.

Who publishes without a pause, one call less than `_PAUSE_NS` after the other, is limited
by what a message costs. From the event number `_STREAK` of such a streak on, events are
gathered into batches (`pubsub_common.protocol.batches`), which are sent when they are full, or
a millisecond old. The next event finds that out, or else the control thread, which looks
once in a millisecond while there are any. Whoever pauses has each event sent at once.

To gather is to append to the topic's list, one step without a lock: before it the event is not
accepted, after it it is. So an exception from outside loses none, and a signal handler that
publishes in the midst of a send has its event gathered, for the control thread to send at
once.

Numbers are given under the lock, when a frame is made. A frame is *in doubt* from before it is
sent until its events are counted as sent: libzmq may have taken it or not when an exception
comes. Whoever enters next sends the same frame with the same numbers once more (subscribers drop
what they have), and counts it. A topic's gathered events are sent before anything else of
the topic, so numbers leave in order. A ready reply promises the first number that has not
left.

Where a history is kept, every event that leaves is put into it under the same lock. Subscribers
request missed events from it (`pubsub_publisher.core`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.frame_sender import NOBLOCK, FrameSender
from pubsub_publisher.sending.sections import on_stack, uses_sections
from pubsub_publisher.sending.xpub_socket import OCCUPIED
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    BATCH_EVENTS,
    MAX_BATCH_AGE_NS,
    EventColumns,
    Events,
    TopicState,
    batch_limit,
)

# A blocked send lets go of the socket this often, for the control thread's sake.
_BLOCKED_MS: Final = 20
_YIELD_S: Final = 0.0005
# Where too many bytes wait, the control thread looks again after some time.
_FULL_S: Final = 0.01
# From here on a message of its own costs little beside the payload.
_UNBATCHED_BYTES: Final = 32_768
_PAUSE_NS: Final = 20_000
_STREAK: Final = 64


@uses_sections
class EventSocket(FrameSender):
    """The XPUB socket of a publisher. What it sends is for any thread, `serve` for the
    control thread.

    ``address`` and ``session`` of the core go into every event; the owner sets them before the
    first.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Mapping[str, TopicState],
        core: PublisherCore,
        now_ns: Callable[[], int],
        bounds: QueueBounds,
        *,
        blocking: bool,
        stopped: Callable[[], bool],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``blocking``: a full queue makes senders wait until ``stopped`` says so; else
        the events for it are dropped. The age of a batch goes by ``monotonic_ns``, as
        the clock of the stamps may be set."""
        super().__init__(context, topics, core, bounds, monotonic_ns)
        self._now_ns = now_ns
        self._stopped = stopped
        self.blocking = blocking
        if blocking:
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
            self.socket.sndtimeo = _BLOCKED_MS
        # Under block a waiting event lets go of the socket; this keeps waiting ones in
        # order.
        self._waiting_order = threading.Lock()

    # Sending

    def sender(
        self, topic: TopicState, *, waiting: bool = True
    ) -> Callable[[bytes], int]:
        """What stamps, numbers and sends the events of a topic, given their payload. It
        returns the stamp; 0 when this is closed, and the event then is not sent. When there is
        no room the event is not sent either, and what is returned is its stamp,
        negative, for `send_in_turn` or `try_send`. With ``waiting`` it waits a moment for
        room first.

        A closure, because this is called for every event: what does not change is
        looked up once.
        """
        lock, now_ns, gathered = self.lock, self._now_ns, topic.gathered
        append, send_one, locked = gathered.append, self._send_one, lock.locked
        flags = 0 if waiting else NOBLOCK
        unbatched = min(_UNBATCHED_BYTES, self.bounds.payload_bytes + 1)
        last_ns = streak = limit = begun_ns = 0
        largest = -1

        def send(payload: bytes) -> int:
            nonlocal last_ns, streak, limit, begun_ns, largest
            stamp_ns = now_ns()
            pause_ns = stamp_ns - last_ns
            last_ns = stamp_ns
            gathers = False
            if pause_ns > _PAUSE_NS:
                streak //= 2  # it may have been the scheduler
            elif streak < _STREAK:
                streak += 1
            elif (
                len(payload) <= largest
                and stamp_ns - begun_ns < MAX_BATCH_AGE_NS
                and len(gathered) < limit
            ):
                append((stamp_ns, payload))
                if topic.watched:
                    return stamp_ns
                return self._watch(topic, stamp_ns, payload)
            else:
                gathers = len(payload) < unbatched
            if (locked() or self.attention) and self._entering(
                topic, stamp_ns, payload
            ):
                return stamp_ns
            with lock: left, self.inside = self.inside, True; sent = send_one(topic, stamp_ns, payload, flags, gathers, left); self.inside = self._in_doubt is not None  # noqa: E501, E701, E702  # fmt: skip
            # Our own work is not a pause, and the wait for room is no reason to send the
            # next batch early.
            last_ns = now_ns()
            if gathers:
                limit = batch_limit(len(payload))
                largest = max(len(payload), self._large_from - 1)
                begun_ns = last_ns
            return sent

        return send

    def gather(self, topic: TopicState, payload: bytes) -> bool:
        """Stamp an event and put it with those that are gathered for the topic's next
        message, which is sent first if it is full or old. False when this is closed, or was
        stopped while it waited for room.

        Raises:
            ConfigError: the payload is larger than the limit.
        """
        self.bounds.check_payload(len(payload))
        stamp_ns = self._now_ns()
        if (
            topic.watched
            and len(topic.gathered) < BATCH_EVENTS
            and topic.gathered_bytes < BATCH_BYTES
            and stamp_ns - topic.begun_ns < MAX_BATCH_AGE_NS
        ):
            topic.gathered_bytes += len(payload)
            topic.gathered.append((stamp_ns, payload))
            return topic.watched or self._watch(topic, stamp_ns, payload) > 0
        if (self.lock.locked() or self.attention) and self._entering(
            topic, stamp_ns, payload
        ):
            return True
        with self.lock: left, self.inside = self.inside, True; sent = self._send_one(topic, stamp_ns, payload, 0, True, left); self.inside = self._in_doubt is not None  # noqa: E501, E701, E702  # fmt: skip
        if sent < 0:
            return self.send_in_turn(topic, [(stamp_ns, payload)])
        return sent > 0

    def send_batch(self, topic: TopicState, payloads: Sequence[bytes]) -> bool:
        """Stamp, number and send events in one message; False when this is closed, or
        was stopped while it waited for room."""
        now_ns = self._now_ns
        events = EventColumns([now_ns() for _ in payloads], payloads)
        return self.send_in_turn(topic, events)

    def flush(self, topic: TopicState) -> bool:
        """Send a topic's gathered events, waiting for room; False when this is closed or
        stopped first."""
        return self.send_in_turn(topic, ())

    def send_in_turn(self, topic: TopicState, events: Events) -> bool:
        """Send what is gathered for a topic, and then these events, if any, in one
        message, when there is room; False when closed or stopped first. Later ones wait
        behind them."""
        if self.occupied():
            for stamp_ns, payload in events:
                self._leave_to_control(topic, stamp_ns, payload)
            return True
        if not self._waiting_order.locked():
            sent = self.try_send(topic, events, 0)
            if sent is not None:
                return sent
        with self._waiting_order: return self._send_when_room(topic, events)  # noqa: E701  # fmt: skip

    def try_send(
        self, topic: TopicState, events: Events, flags: int = NOBLOCK
    ) -> bool | None:
        """Number and send events, with the stamps that they were given, in one message,
        after those that are gathered for the topic. False when this is closed, None when
        there is no room."""
        try:
            return self._enter(self._send_all, topic, events, flags)
        except zmq.Again:
            return None

    def flush_all(self, timeout_s: float) -> int:
        """Take no more events, and send all that are gathered, even when this is stopped,
        as far as there is room within the time; how many are left."""
        deadline = time.monotonic() + timeout_s
        self.refuse_events()
        self._ended = True
        while not self._flushed():
            if time.monotonic() >= deadline:
                return sum(len(topic.gathered) for topic in self.topics.values())
            time.sleep(_YIELD_S)
        return 0

    def reserve_number(self, topic: TopicState, stamp_ns: int, payload: bytes) -> int:
        """A number for an event that somebody else sends; -1 when this was stopped
        while it waited for room for those before it."""
        while True:
            number = self._enter(self._reserve, topic, (stamp_ns, payload))
            if number >= 0:
                return number
            if not self.flush(topic):
                return -1

    def last_number(self, topic: TopicState) -> int:
        """The number of the topic's last event."""
        return self._enter(lambda: topic.next_number - 1)

    def refuse_events(self) -> None:
        """From here on no event is taken any more. For signal handlers too: it takes no
        lock; a thread that is sending has its event sent."""
        self._accepting = False
        for topic in tuple(self._gathering):
            topic.watched = False  # so that threads that gather look

    def occupied(self) -> bool:
        """Whether the calling thread came here from a signal handler that interrupted its
        own use of this socket, or its wait for room."""
        return self.nested() or (self._waiting_order.locked() and on_stack(_WAIT))

    def check_free(self) -> None:
        """Raises:
        PubSubError: the calling thread is in the midst of using this socket, so it must
            not wait for others that need it.
        """
        if self.occupied():
            raise PubSubError(OCCUPIED)

    @property
    def waiting(self) -> bool:
        """Whether a sender waits for room. For any thread."""
        return self._waiting_order.locked()

    # Inside

    def _flushed(self) -> bool:
        try:
            return self._enter(self._flush_old, 0)
        except zmq.Again:
            return False

    def _send_when_room(self, topic: TopicState, events: Events) -> bool:
        while True:
            sent = self.try_send(topic, events, 0)
            if sent is not None:
                return sent
            if self._stopped():
                return False
            # Python's locks are not fair: give the control thread its turn.
            time.sleep(_FULL_S if self.bytes_full else _YIELD_S)


_WAIT: Final = EventSocket._send_when_room.__code__
