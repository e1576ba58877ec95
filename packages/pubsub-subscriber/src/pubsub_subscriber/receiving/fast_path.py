"""Decodes the frames of known streams into events, as fast as Python can.

Theory of operation
-------------------
Frames are taken from a socket in bursts and decoded at once, in one loop that does
nothing but the usual: an event of a stream that we know, with the number that we expect.
Whatever else comes (another number, a new stream, an answer of the handshake, garbage)
ends the burst and is buffered for the next one, which begins with it. So all that came before
has been delivered when a gap is reported, and the loop stays short.

A burst is bounded because its first event waits for its last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, MutableSequence
from typing import Any, Final

import msgspec
import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch, decode_batch_body
from pubsub_common.protocol.events import Event, decode_body
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.performer import Performer

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


class FastPath:
    """Decodes frames and counts the events of streams. For the user's thread."""

    def __init__(self, performer: Performer, now_ns: Callable[[], int]) -> None:
        """``performer`` has the core, which takes what is not as usual."""
        core = performer.core
        # With the byte that begins an event, so that all others stand out.
        self._event_topics = core.topics.by_event
        self._batch_topics = core.topics.by_batch
        self._trackers = core.trackers
        self._now_ns = now_ns
        self._performer = performer
        # The frame that was taken and that `take_deferred` has yet to look at: when it came,
        # and by which socket.
        self.deferred: tuple[bytes, int, SubSocket] | None = None
        self._large = False  # the last event was
        # The topic of the last frame, which is likely that of the next one.
        self._prefix, self._topic = next(
            iter(self._event_topics.items()), (_NO_PREFIX, "")
        )

    def take_deferred(self, items: MutableSequence[Any]) -> None:
        """Append the events of the frame that ended the last burst to ``items``, one by
        one."""
        if self.deferred is not None:
            (frame, received_ns, sub_socket), self.deferred = self.deferred, None
            self._performer.take(frame, received_ns, sub_socket, items)

    def take(
        self, sub_socket: SubSocket, items: MutableSequence[Any], batches: bool
    ) -> bool:
        """Append the usual events that wait at ``sub_socket`` to ``items``, those of at most
        a burst of messages; True when nothing is left there. Nothing may be deferred.

        Most of it is one loop, for speed's sake: a call costs as much as a step of it.
        """
        if self._large:
            return self._take_large(sub_socket, items)
        receive, now_ns, only = (
            sub_socket.receive_frame,
            self._now_ns,
            sub_socket.only_session,
        )
        frame, tracker, expected = b"", None, -1
        received_ns = 0
        sub_socket.lock.acquire()
        try:
            # The first frame before anything else: it is its time that is measured.
            frame = receive(_NOBLOCK)
            received_ns = now_ns()
            decode, put, trackers = decode_body, items.append, self._trackers
            prefix, topic = self._prefix, self._topic
            start = len(prefix) - 1  # where the array is
            session = -1
            enough = False
            for number in range(BURST):
                if number:
                    # Mostly only one waits; an exception is a slow way to learn it.
                    if number == 1 and not sub_socket.events() & _POLLIN:
                        return True
                    frame = receive(_NOBLOCK)
                    received_ns = now_ns()
                if not frame.startswith(prefix):
                    begin = frame[: frame.find(b"\0") + 2]
                    found = self._event_topics.get(begin)
                    if found is None:
                        if tracker is not None:
                            tracker.expected = expected
                        session, tracker = -1, None
                        if self._take_batch(
                            frame, begin, received_ns, only, items, batches
                        ):
                            if len(items) >= _BURST_EVENTS:
                                return False
                            continue
                        self.deferred = (frame, received_ns, sub_socket)
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
                        self.deferred = (frame, received_ns, sub_socket)
                        return False
                    if tracker is not None:
                        tracker.expected = expected
                    session = event.session
                    tracker = trackers.get((session, topic))
                    expected = -1 if tracker is None else tracker.expected
                if event.sequence != expected:
                    self.deferred = (frame, received_ns, sub_socket)
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
            self.deferred = (frame, received_ns, sub_socket)
        finally:
            if tracker is not None:
                tracker.expected = expected
            sub_socket.lock.release()
        return False

    def receive_waiting(self, sub_socket: SubSocket) -> Iterator[list[Event]]:
        """The events of one message after the other. This waits in the socket for each, until
        one is not as usual, which is deferred, or another thread interrupts. The socket must
        be one that can be interrupted. Nothing may be deferred.

        The shortest way from a message to the user, for one event at a time.
        """
        acquire, release = sub_socket.lock.acquire, sub_socket.lock.release
        receive, now_ns, only = (
            sub_socket.receive_frame,
            self._now_ns,
            sub_socket.only_session,
        )
        decode, trackers = decode_body, self._trackers
        while True:
            large, prefix, topic = self._large, self._prefix, self._topic
            acquire()
            try:
                if not sub_socket.interrupt_message:
                    return
                frame = receive(0, not large)
                received_ns = now_ns()
            except zmq.Again:
                return  # a flood of what nobody wants, see `SubSocket.restrict_to`
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
            if not self._take_frame(frame, received_ns, sub_socket, items):
                return
            yield items

    def _take_large(self, sub_socket: SubSocket, items: MutableSequence[Any]) -> bool:
        """As `take`, while events are large: they are decoded out of libzmq's memory.
        A frame as bytes would be one copy more, and memory that is trimmed and taken
        again for each."""
        receive, now_ns = sub_socket.receive_frame, self._now_ns
        with sub_socket.lock, contextlib.suppress(zmq.Again):
            for number in range(_LARGE_BURST):
                if number == 1 and not sub_socket.events() & _POLLIN:
                    return True
                view = receive(_NOBLOCK, False).buffer
                if (
                    not self._take_frame(view, now_ns(), sub_socket, items)
                    or not self._large
                ):
                    break
            return False
        return True

    def _take_frame(
        self,
        frame: bytes | memoryview,
        received_ns: int,
        sub_socket: SubSocket,
        items: MutableSequence[Any],
    ) -> bool:
        """Append the events of one frame to ``items``, as `take` does; else it is deferred,
        and this is False."""
        prefix = self._prefix
        size = len(frame)
        self._large = size >= _LARGE_BYTES
        if frame[: len(prefix)] != prefix:
            frame = bytes(frame)
            begin = frame[: frame.find(b"\0") + 2]
            found = self._event_topics.get(begin)
            if found is None:
                only = sub_socket.only_session
                if self._take_batch(frame, begin, received_ns, only, items, False):
                    return True
                self.deferred = (frame, received_ns, sub_socket)
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
            session, only = event.session, sub_socket.only_session
            tracker = self._trackers.get((session, topic))
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
        self.deferred = (bytes(frame), received_ns, sub_socket)
        return False

    def _take_batch(
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
        topic = self._batch_topics.get(begin)
        if topic is None:
            return False
        try:
            batch = decode_batch_body(memoryview(frame)[len(begin) - 1 :])
        except ProtocolError:
            return False  # which will be counted
        tracker = self._trackers.get((batch.session, topic))
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
