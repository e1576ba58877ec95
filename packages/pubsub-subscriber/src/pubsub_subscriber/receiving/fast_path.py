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
import threading
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import Any, Final

import msgspec
import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import BATCH_MARK, Batch, decode_batch_body
from pubsub_common.protocol.events import (
    EVENT_MARK,
    Event,
    decode_body,
    topic_prefix,
)
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.receiving.slow_path import Unusual
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.stream_table import Streams

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

Item = Event | Batch


class Intake:
    """Decodes frames and counts the events of streams. For the user's thread."""

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
        # With the byte that begins an event, so that all others stand out.
        self._names: dict[bytes, str] = {}
        self._batch_names: dict[bytes, str] = {}
        for topic in topics:
            self.add(topic)
        self._streams = streams
        self._now_ns = now_ns
        self._unusual = Unusual(self._names, streams, lock, on_gap, recovery, carry_out)
        # The frame that was taken and that `take_held` has yet to look at: when it came,
        # and by which socket.
        self.held: tuple[bytes, int, Inlet] | None = None
        self._large = False  # the last event was
        # The topic of the last frame, which is likely that of the next one.
        self._prefix, self._topic = next(iter(self._names.items()), (_NO_PREFIX, ""))

    @property
    def malformed_count(self) -> int:
        """How many messages were no events."""
        return self._unusual.malformed_count

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
            self._unusual.take(frame, received_ns, inlet, items)

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
