"""The XPUB socket of a publisher: sends events, alone or in batches.

Theory of operation
-------------------

The caller's thread sends events directly into the XPUB socket.
`pubsub_publisher.sending.xpub_socket` explains how the socket survives exceptions from
outside and how incoming messages are received.

A caller that publishes without a pause (less than `_PAUSE_NS` between two calls) is limited
by the cost of a message. After `_STREAK` such events, events are gathered into batches
(`pubsub_common.protocol.batches`). A batch is sent when it is full or a millisecond old. The
next event checks that; so does the control thread, once in a millisecond while events are
gathered. After a pause, each event is sent at once.

To gather is to append to the topic's list, which is one step without a lock: the event is
accepted by that step. So an exception from outside loses no accepted event. An event that a
signal handler publishes while it interrupts a send is gathered, and the control thread sends
it at once.
A quick source of `publish_events` is different: its items are fetched, many in one step, and
checked when they are sent or gathered (`pubsub_publisher.topics.fetched`).

Numbers are assigned under the lock, when a frame is made. A frame is *in doubt* from before
it is sent until its events are counted as sent: when an exception comes in between, libzmq
may have taken it or not. The next thread that takes the lock sends the same frame with the
same numbers again (subscribers drop repetitions) and counts it. The gathered events of a
topic are sent before its other events, so numbers leave in order. A ready reply promises the
first number that has not left.

With a history, each event that leaves is added to it under the same lock. Subscribers request
missed events from it (`pubsub_publisher.core`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.frame_sender import NOBLOCK, FrameSender
from pubsub_publisher.sending.sections import on_stack, uses_sections
from pubsub_publisher.sending.xpub_socket import OCCUPIED
from pubsub_publisher.topics.event_columns import EventColumns
from pubsub_publisher.topics.fetched import Fetch
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    BATCH_EVENTS,
    LANE_BYTES,
    MAX_BATCH_AGE_NS,
    UNBATCHED_BYTES,
    Events,
    TopicState,
)

# A blocked send releases the socket this often, for the control thread.
_BLOCKED_MS: Final = 20
_YIELD_S: Final = 0.0005
# While too many bytes wait, the control thread checks again after this time.
_FULL_S: Final = 0.01
_PAUSE_NS: Final = 20_000
_STREAK: Final = 64
# An event that goes by shared memory takes as long as so many small ones.
_SHARED_STREAK: Final = 8


@uses_sections
class EventSocket(FrameSender):
    """The XPUB socket of a publisher. Any thread may send; `serve` is for the control thread.

    ``address`` and ``session`` of the core are part of every event. The owner sets them
    before the first event.
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
        """``blocking``: a full queue makes senders wait until there is room or ``stopped``
        returns True; else the events are dropped. The age of a batch uses
        ``monotonic_ns``, because the clock of the time stamps may be set."""
        super().__init__(context, topics, core, bounds, monotonic_ns)
        self._now_ns = now_ns
        self._stopped = stopped
        self.blocking = blocking
        if blocking:
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
            self.socket.sndtimeo = _BLOCKED_MS
        # With "block" a waiting event releases the socket; this lock keeps waiting events in
        # order.
        self._waiting_order = threading.Lock()

    # Sending

    def sender(
        self, topic: TopicState, *, waiting: bool = True
    ) -> Callable[[bytes], int]:
        """A function that stamps, numbers and sends an event of the topic, given its payload.

        It returns the time stamp; 0 if this is closed and the event was not sent. If there is
        no room, the event was not sent either, and the function returns the negative time
        stamp, for `send_in_turn` or `try_send`. With ``waiting`` it first waits a moment for
        room.

        A closure, because it is called for every event: it looks up constant values once.
        """
        lock, now_ns, gathered = self.lock, self._now_ns, topic.gathered
        append, send_one, locked = gathered.append, self._send_one, lock.locked
        flags = 0 if waiting else NOBLOCK
        unbatched = min(UNBATCHED_BYTES, self.bounds.payload_bytes + 1)
        # Full batches are never larger than `BATCH_BYTES`.
        small = min(BATCH_BYTES // BATCH_EVENTS, self.bounds.payload_bytes)
        last_ns = streak = limit = begun_ns = 0
        largest = -1

        def send(payload: bytes) -> int:
            nonlocal last_ns, streak, limit, begun_ns, largest
            stamp_ns = now_ns()
            pause_ns = stamp_ns - last_ns
            last_ns = stamp_ns
            gathers = False
            if pause_ns > _PAUSE_NS:
                streak //= 2  # the pause may come from the scheduler
            elif streak < _STREAK:
                streak += 1 if len(payload) < self.lane_from else _SHARED_STREAK
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
            # The time of the send itself is not a pause, and the wait for room does not age
            # the next batch.
            last_ns = now_ns()
            if gathers:
                largest = max(len(payload), small)
                most = BATCH_BYTES if len(payload) < self.lane_from else LANE_BYTES
                limit = min(BATCH_EVENTS, most // largest)
                begun_ns = last_ns
            return sent

        return send

    def gather(self, topic: TopicState, payload: bytes) -> bool:
        """Stamp an event and add it to the topic's next message. A message that is full or old
        is sent first. False if this is closed, or was stopped while it waited for room.

        Raises:
            ConfigError: The payload is larger than the limit.
        """
        self.bounds.check_payload(len(payload))
        stamp_ns = self._now_ns()
        most = BATCH_BYTES if len(payload) < self.lane_from else LANE_BYTES
        if (
            topic.watched
            and len(topic.gathered) < BATCH_EVENTS
            and topic.gathered_bytes + len(payload) <= most
            and stamp_ns - topic.begun_ns < MAX_BATCH_AGE_NS
        ):
            topic.gathered_bytes += len(payload)
            topic.gathered.append((stamp_ns, payload))
            return topic.watched or self._watch(topic, stamp_ns, payload) > 0
        if (self.lock.locked() or self.attention) and self._entering(
            topic, stamp_ns, payload
        ):
            return True
        gathers = len(payload) < max(self.lane_from, UNBATCHED_BYTES)
        with self.lock: left, self.inside = self.inside, True; sent = self._send_one(topic, stamp_ns, payload, 0, gathers, left); self.inside = self._in_doubt is not None  # noqa: E501, E701, E702  # fmt: skip
        if sent < 0:
            return self.send_in_turn(topic, [(stamp_ns, payload)])
        return sent > 0

    def send_batch(self, topic: TopicState, payloads: Sequence[bytes]) -> bool:
        """Stamp, number and send events in one message. False if this is closed, or was
        stopped while it waited for room."""
        now_ns = self._now_ns
        events = EventColumns([now_ns() for _ in payloads], payloads)
        return self.send_in_turn(topic, events)

    def fetch(self, topic: TopicState, source: Iterator[object]) -> Fetch:
        """Prepare to publish the payloads of ``source`` on the topic. `flush` sends those
        that have come; so does the control thread, when the first one is a millisecond old."""
        fetch = Fetch(source, self._now_ns)
        topic.fetched.append(fetch.fetched)
        return fetch

    def flush(self, topic: TopicState) -> bool:
        """Send a topic's fetched and gathered events, and wait for room. False if this was
        closed or stopped first."""
        return self.send_in_turn(topic, ())

    def send_in_turn(self, topic: TopicState, events: Events) -> bool:
        """Send a topic's gathered events, and then these events, if any, in one message, when
        there is room. Later events wait behind them. False if this was closed or stopped
        first."""
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
        """Number and send events with their time stamps, in one message, after the gathered
        events of the topic. False if this is closed, None if there is no room."""
        try:
            return self._enter(self._send_all, topic, events, flags)
        except zmq.Again:
            return None

    def flush_all(self, timeout_s: float) -> int:
        """Take no more events, and send the gathered ones while there is room and time, even
        when this is stopped. Returns the number of unsent events."""
        deadline = time.monotonic() + timeout_s
        self.refuse_events()
        self._ended = True
        while not self._flushed():
            if time.monotonic() >= deadline:
                gathered = sum(len(topic.gathered) for topic in self.topics.values())
                return gathered + self.owed()
            time.sleep(_YIELD_S)
        return 0

    def reserve_number(self, topic: TopicState, stamp_ns: int, payload: bytes) -> int:
        """A number for an event that the caller sends; -1 if this was stopped while it waited
        for room for earlier events."""
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
        """Take no more events. For signal handlers too: it takes no lock. A thread that is
        sending still sends its event."""
        self._accepting = False
        for topic in tuple(self._gathering):
            topic.watched = False  # so that gathering threads check

    def occupied(self) -> bool:
        """Whether the calling thread runs a signal handler that interrupted its own use of
        this socket, or its wait for room."""
        return self.nested() or (self._waiting_order.locked() and on_stack(_WAIT))

    def check_free(self) -> None:
        """Raises:
        PubSubError: The calling thread is using this socket, so it must not wait for
            other threads that need it.
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
            # Python's locks are not fair: let the control thread take it.
            time.sleep(_FULL_S if self.bytes_full else _YIELD_S)


_WAIT: Final = EventSocket._send_when_room.__code__
