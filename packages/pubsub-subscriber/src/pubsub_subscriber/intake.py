"""From frames to events: the receive path. Shell (it holds the sockets' locks).

Theory of operation
-------------------
Frames are taken from a socket in bursts and decoded at once, in one loop that does
nothing but the usual: an event of a stream that we know, with the number that we expect.
Whatever else comes (another number, a new stream, an answer of the handshake, garbage)
ends the burst and is kept for the next one, which begins with it. So all that came before
has been delivered when a gap is reported, and the loop stays short.

A burst is bounded because its first event waits for its last.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import Any, Final

import msgspec
import zmq

from pubsub_common.batches import BATCH_MARK, Batch, decode_batch_body, is_batch
from pubsub_common.errors import ProtocolError
from pubsub_common.events import (
    EVENT_MARK,
    Event,
    decode_body,
    decode_ready_answer,
    split_frame,
    topic_prefix,
)
from pubsub_common.recovery import decode_answer, decode_position
from pubsub_common.sequence import Gap
from pubsub_subscriber.inlet import Inlet, is_ring
from pubsub_subscriber.recovery import Recovery
from pubsub_subscriber.streams import Streams, place_of

_log = logging.getLogger(__name__)

# Frames taken from a socket in one go.
BURST: Final = 64
# With so many events a burst ends: more would not stay in the processor's cache until they are
# delivered. And of large ones.
_BURST_EVENTS: Final = 512
_LARGE_BURST: Final = 4
# From here on a copy of a frame costs more than a view of it; and from here on, more than
# pyzmq's object that gives a view of libzmq's memory.
_VIEW_BYTES: Final = 16_384
_LARGE_BYTES: Final = 131_072

# What no frame begins with.
_NO_PREFIX: Final = b"\xff\xff"
_NOBLOCK: Final = int(zmq.NOBLOCK)
_POLLIN: Final = int(zmq.POLLIN)

# Sessions that a publisher may have by one connection, besides the one we were told of: each
# is remembered, and nobody else bounds them.
_SESSIONS: Final = 8

Item = Event | Batch


class Intake:
    """Decodes frames and keeps count of streams. For the user's thread, except
    `streams`, which ``lock`` guards."""

    def __init__(
        self,
        topics: Iterable[str],
        streams: Streams,
        lock: threading.Lock,
        now_ns: Callable[[], int],
        on_gap: Callable[[Gap], None],
        recovery: Recovery | None = None,
        carry_out: Callable[[], object] = lambda: None,
    ) -> None:
        """``carry_out`` is called when ``recovery`` has something to ask."""
        self.malformed_count = 0
        # With the byte that begins an event, so that all others stand out.
        self._names: dict[bytes, str] = {}
        self._batch_names: dict[bytes, str] = {}
        for topic in topics:
            self.add(topic)
        self._streams = streams
        self._lock = lock
        self._now_ns = now_ns
        self._on_gap = on_gap
        self._recovery = recovery
        self._carry_out = carry_out
        # The frame that was taken and that `take_held` has yet to look at: when it came,
        # and by which socket.
        self.held: tuple[bytes, int, Inlet] | None = None
        self._large = False  # the last event was
        # The topic of the last frame, which is likely that of the next one.
        self._prefix, self._topic = next(iter(self._names.items()), (_NO_PREFIX, ""))

    def add(self, topic: str) -> None:
        """Events of this topic are for us too. For any thread."""
        self._names[topic_prefix(topic) + EVENT_MARK] = topic
        self._batch_names[topic_prefix(topic) + BATCH_MARK] = topic

    def remove(self, topic: str) -> None:
        """Events of this topic are not for us any more, and none waits."""
        self._names.pop(topic_prefix(topic) + EVENT_MARK, None)
        self._batch_names.pop(topic_prefix(topic) + BATCH_MARK, None)

    def take_held(self, items: MutableSequence[Any]) -> None:
        """Append the events of the frame that ended the last burst to ``items``, one by
        one."""
        if self.held is not None:
            (frame, received_ns, inlet), self.held = self.held, None
            self._unusual(frame, received_ns, inlet, items)

    def take(self, inlet: Inlet, items: MutableSequence[Any], batches: bool) -> bool:
        """Append the usual events that wait at ``inlet`` to ``items``, those of at most
        a burst of messages; True when nothing is left there. Nothing may be held.

        Most of it is one loop, for speed's sake: a call costs as much as a step of it.
        """
        if self._large:
            return self._take_large(inlet, items)
        receive, now_ns, only = inlet.receive_frame, self._now_ns, inlet.only
        frame, tracker, expected = b"", None, -1
        received_ns = 0
        inlet.lock.acquire()
        try:
            # The first frame before anything else: it is its time that is measured.
            frame = receive(_NOBLOCK)
            received_ns = now_ns()
            decode, put, trackers = decode_body, items.append, self._streams.trackers
            prefix, topic = self._prefix, self._topic
            start = len(prefix) - 1  # where the array is
            session = -1
            enough = False
            for number in range(BURST):
                if number:
                    # Mostly only one waits; an exception is a slow way to learn it.
                    if number == 1 and not inlet.events() & _POLLIN:
                        return True
                    frame = receive(_NOBLOCK)
                    received_ns = now_ns()
                if not frame.startswith(prefix):
                    begin = frame[: frame.find(b"\0") + 2]
                    found = self._names.get(begin)
                    if found is None:
                        if tracker is not None:
                            tracker.expected = expected
                        session, tracker = -1, None
                        if self._usual_batch(
                            frame, begin, received_ns, only, items, batches
                        ):
                            if len(items) >= _BURST_EVENTS:
                                return False
                            continue
                        self.held = (frame, received_ns, inlet)
                        return False
                    prefix = begin
                    self._prefix, self._topic = prefix, found
                    if tracker is not None:
                        tracker.expected = expected
                    topic, start, session, tracker = found, len(prefix) - 1, -1, None
                size = len(frame)
                if size < _VIEW_BYTES:
                    event = decode(frame[start:])
                else:
                    event = decode(memoryview(frame)[start:])
                    self._large = size >= _LARGE_BYTES
                    enough = self._large or number + 1 >= _LARGE_BURST
                if event.session != session:
                    if only is not None and event.session != only:
                        self.held = (frame, received_ns, inlet)
                        return False
                    if tracker is not None:
                        tracker.expected = expected
                    session = event.session
                    tracker = trackers.get((session, topic))
                    expected = -1 if tracker is None else tracker.expected
                if event.sequence != expected:
                    self.held = (frame, received_ns, inlet)
                    return False
                expected += 1
                event.topic = topic
                event.received_ns = received_ns
                put(event)
                if enough:
                    return False
        except zmq.Again:
            return True
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.held = (frame, received_ns, inlet)
        finally:
            if tracker is not None:
                tracker.expected = expected
            inlet.lock.release()
        return False

    def stream(self, inlet: Inlet) -> Iterator[list[Event]]:
        """The events of one message after the other, for each of which this waits in the
        socket: until one is not as usual, which is held, or somebody rings. Not where
        nobody could. Nothing may be held.

        The shortest way from a message to the user, for who receives one at a time.
        """
        acquire, release = inlet.lock.acquire, inlet.lock.release
        receive, now_ns, only = inlet.receive_frame, self._now_ns, inlet.only
        decode, trackers = decode_body, self._streams.trackers
        while True:
            large, prefix, topic = self._large, self._prefix, self._topic
            acquire()
            try:
                if not inlet.bell_message:
                    return
                frame = receive(0, not large)
                received_ns = now_ns()
            except zmq.Again:
                return  # a flood of what nobody wants, see `Inlet.restrict`
            finally:
                release()
            if large:
                frame = frame.buffer
            elif len(frame) < _VIEW_BYTES and frame.startswith(prefix):
                try:
                    event = decode(frame[len(prefix) - 1 :])
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    tracker = None
                else:
                    tracker = trackers.get((event.session, topic))
                if (
                    tracker is not None
                    and event.sequence == tracker.expected
                    and (only is None or event.session == only)
                ):
                    tracker.expected += 1
                    event.topic = topic
                    event.received_ns = received_ns
                    yield [event]
                    continue
            items: list[Event] = []
            if not self._sort(frame, received_ns, inlet, items):
                return
            yield items

    def _take_large(self, inlet: Inlet, items: MutableSequence[Any]) -> bool:
        """As `take`, while events are large: they are decoded out of libzmq's memory.
        A frame as bytes would be one copy more, and memory that is trimmed and taken
        again for each."""
        receive, now_ns = inlet.receive_frame, self._now_ns
        with inlet.lock, contextlib.suppress(zmq.Again):
            for number in range(_LARGE_BURST):
                if number == 1 and not inlet.events() & _POLLIN:
                    return True
                view = receive(_NOBLOCK, False).buffer
                if not self._sort(view, now_ns(), inlet, items) or not self._large:
                    break
            return False
        return True

    def _sort(
        self,
        frame: bytes | memoryview,
        received_ns: int,
        inlet: Inlet,
        items: MutableSequence[Any],
    ) -> bool:
        """Append the events of one frame to ``items``, as `take` does; else it is held,
        and this is False."""
        prefix = self._prefix
        size = len(frame)
        self._large = size >= _LARGE_BYTES
        if frame[: len(prefix)] != prefix:
            frame = bytes(frame)
            begin = frame[: frame.find(b"\0") + 2]
            found = self._names.get(begin)
            if found is None:
                only = inlet.only
                if self._usual_batch(frame, begin, received_ns, only, items, False):
                    return True
                self.held = (frame, received_ns, inlet)
                return False
            prefix, self._prefix, self._topic = begin, begin, found
        if size >= _VIEW_BYTES:
            frame = memoryview(frame)
        topic = self._topic
        try:
            event = decode_body(frame[len(prefix) - 1 :])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        else:
            session, only = event.session, inlet.only
            tracker = self._streams.trackers.get((session, topic))
            if (
                tracker is not None
                and tracker.expected == event.sequence
                and (only is None or only == session)
            ):
                tracker.expected += 1
                event.topic = topic
                event.received_ns = received_ns
                items.append(event)
                return True
        self.held = (bytes(frame), received_ns, inlet)
        return False

    def _usual_batch(
        self,
        frame: bytes,
        begin: bytes,
        received_ns: int,
        only: int | None,
        items: MutableSequence[Any],
        whole: bool,
    ) -> bool:
        """Append the events of a frame that is a batch of a stream we know, with the
        number that we expect; else False."""
        topic = self._batch_names.get(begin)
        if topic is None:
            return False
        try:
            batch = decode_batch_body(memoryview(frame)[len(begin) - 1 :])
        except ProtocolError:
            return False  # which will be counted
        tracker = self._streams.trackers.get((batch.session, topic))
        if tracker is None or tracker.expected != batch.sequence:
            return False
        if only is not None and batch.session != only:
            return False
        batch.topic = topic
        batch.received_ns = received_ns
        tracker.expected += len(batch)
        if whole:
            items.append(batch)
        else:
            items.extend(batch.events())
        return True

    def _unusual(
        self,
        frame: bytes,
        received_ns: int,
        inlet: Inlet,
        items: MutableSequence[Any],
    ) -> None:
        """Any frame, step by step."""
        try:
            end = frame.find(b"\0")
            topic = self._names.get(frame[: end + 1] + EVENT_MARK)
            if topic is None:
                self._take_private(frame, received_ns, inlet, items)
            elif is_batch(frame, end):
                batch = decode_batch_body(memoryview(frame)[end + 1 :])
                batch.topic = topic
                batch.received_ns = received_ns
                self._check_sender(batch.session, inlet)
                for event in batch:
                    self._observe(event, items)
            else:
                split_frame(frame)
                event = decode_body(memoryview(frame)[end + 1 :])
                event.topic = topic
                event.received_ns = received_ns
                self._check_sender(event.session, inlet)
                self._observe(event, items)
        except (ProtocolError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._count_malformed(error)
        if self._recovery is not None and self._recovery.asks:
            self._carry_out()

    def _observe(self, event: Event, items: MutableSequence[Any]) -> None:
        """Count an event that is the first of its stream, or not the expected one; it
        is appended to ``items`` unless it is a duplicate, must wait for those before
        it, or is not ours to have."""
        session, topic, number = event.session, event.topic, event.sequence
        recovery = self._recovery
        gap = None
        with self._lock:
            recovering = recovery is not None and recovery.open((session, topic))
            if not recovering and self._streams.pass_over(session, topic, number + 1):
                return
            tracker = self._streams.tracker(session, topic)
            if recovery is None:
                before = tracker.duplicated
                gap = tracker.observe(number)
                if tracker.duplicated == before:
                    items.append(event)
            else:
                recovery.arrive(tracker, event, time.monotonic(), items)
        if gap is not None:
            self._on_gap(gap)

    def _take_private(
        self,
        frame: bytes,
        received_ns: int,
        inlet: Inlet,
        items: MutableSequence[Any],
    ) -> None:
        """A frame that is addressed to this subscriber."""
        if is_ring(frame):
            return
        answered = decode_ready_answer(frame)
        if answered is not None:
            topic, answer = answered
            self._check_sender(answer.session, inlet)
            with self._lock:
                self._streams.answered(answer.session, topic)
            self._reached(answer.session, topic, answer.sequence, items)
            return
        told = None if self._recovery is None else decode_position(frame)
        if told is not None:
            topic, position = told
            self._check_sender(position.session, inlet)
            self._reached(position.session, topic, position.sequence, items)
            return
        recovered = None if self._recovery is None else decode_answer(frame)
        if recovered is None or self._recovery is None:
            raise ProtocolError("an event of a topic that was not subscribed")
        question, batch = recovered
        self._check_sender(batch.session, inlet)
        batch.received_ns = received_ns
        with self._lock:
            gaps = self._recovery.answer(question, batch, time.monotonic(), items)
        for gap in gaps:
            self._on_gap(gap)

    def _reached(
        self, session: int, topic: str, sequence: int, items: MutableSequence[Any]
    ) -> None:
        """A publisher's next event is number ``sequence``, and all before it have been
        sent here."""
        recovery = self._recovery
        gap = None
        with self._lock:
            recovering = recovery is not None and recovery.open((session, topic))
            if not recovering and self._streams.pass_over(session, topic, sequence):
                return
            tracker = self._streams.tracker(session, topic)
            if recovery is None:
                gap = tracker.expect(sequence)
            else:
                recovery.reaches(tracker, sequence, time.monotonic(), items)
        if gap is not None:
            self._on_gap(gap)

    def _count_malformed(self, error: Exception) -> None:
        self.malformed_count += 1
        if self.malformed_count == 1:
            _log.warning("received what is no event (only said once): %s", error)

    def _check_sender(self, session: int, inlet: Inlet) -> None:
        """Whether what came by an inlet of one publisher may be of this session: its own,
        or one that nobody else is known to have. It may have another one than we were
        told, when the broker did not hear it for a while; its events arrive sooner than
        the broker's word, and it counts on us.

        Raises:
            ProtocolError: it is another publisher's, or one too many.
        """
        only = inlet.only
        if only is None or session == only or session in inlet.also:
            return
        with self._lock:
            known, expected = map(self._streams.publisher, (session, only))
        if known is None:
            if len(inlet.also) >= _SESSIONS:
                raise ProtocolError("a publisher sent something in many names")
        elif expected is None or place_of(known) != place_of(expected):
            raise ProtocolError("a publisher sent something in another's name")
        inlet.also.add(session)
