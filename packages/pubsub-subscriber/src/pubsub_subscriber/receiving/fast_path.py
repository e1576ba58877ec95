"""Decodes the frames of known streams into events, as fast as Python can.

Theory of operation
-------------------

Frames are taken from a socket in bursts and decoded at once, in one loop for the usual case
only: an event of a known stream, with the expected number and the checked name of the
publisher. Any other frame (another number or name, a new stream, a reply of the handshake,
other bytes) ends the burst and is *deferred* to the cold path, with which the next burst
begins. So all earlier events have been delivered when a gap is reported.

A burst is limited because its first event waits for its last.

An exception of a signal handler or a tracer may come at each step, and loses nothing. A frame
stays in the buffer until its first byte says that it is processed (`FrameBuffer`). It is
processed in this order: append the event (one call in C), store the next expected number. A
frame that an exception leaves in the buffer is *in doubt*; `settle` continues at the same
place, before anything else is received. The main thread must not take large events
(`large_events`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import length_hint
from typing import Final

import zmq

from pubsub_common.protocol.events import PRIVATE_MARK, decode_body
from pubsub_common.protocol.local_lane import LANE, LANE_MARK
from pubsub_common.protocol.sequence import StreamTracker
from pubsub_subscriber.connections.frame_buffer import FREE, FrameBuffer
from pubsub_subscriber.connections.interrupter import is_interrupt
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving import decoding
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.large_events import LARGE_BYTES, Deferred, take_large
from pubsub_subscriber.receiving.shared_frames import SharedFrames

# Most frames taken from a socket at once.
BURST: Final = 64
# A burst ends with so many events or bytes: more would leave the processor's cache before they
# are delivered.
BURST_EVENTS: Final = 512
_BURST_BYTES: Final = 262_144
# For larger frames a copy costs more than a view; and larger ones count in bytes.
_VIEW_BYTES: Final = 512
_MEDIUM_BYTES: Final = 16_384

# After so many messages with shorter gaps, a wait in the socket ends, and bursts are taken.
# Fewer may have come in one burst; then one message at a time continues.
_BURST_AFTER: Final = 16
_BURST_GAP_NS: Final = 20_000

# No frame begins with this.
_NO_PREFIX: Final = b"\xff\xff"
_NO_STREAM: Final = StreamTracker(-1, "")
_NOBLOCK: Final = int(zmq.NOBLOCK)
_PRIVATE: Final = PRIVATE_MARK[0]


class FastPath:
    """Decodes frames and counts the events of streams. For one thread at a time."""

    def __init__(
        self, core: SubscriberCore, queue: EventQueue, now_ns: Callable[[], int]
    ) -> None:
        self._core = core
        self._queue = queue
        self._now_ns = now_ns
        self._buffer = FrameBuffer()
        self._memory = self._buffer.memory
        self._source: SubSocket | None = None  # the socket of the frame in the buffer
        # The frame that is left to cold work, its time and its socket.
        self.deferred: Deferred | None = None
        self._shared = SharedFrames(core, queue)
        # The last event was large, so the next one probably is. Then the main thread must not
        # call `take`: an exception would lose an event.
        self.large = False
        # The topic of the last frame; the next one probably has the same.
        self._prefix, self._topic = _NO_PREFIX, ""

    @property
    def in_doubt(self) -> bool:
        """Whether an exception came while a frame was taken; see `settle`."""
        return self._memory[0] != FREE

    @property
    def has_events(self) -> bool:
        """Whether there are taken events without a burst."""
        return bool(self._queue.incoming)

    def may_take(self) -> bool:
        """Whether `take` may be called in this thread without losing an event."""
        return not self.large or threading.get_ident() != threading.main_thread().ident

    def is_ready(self) -> bool:
        """Whether `take_next` may be called."""
        return self._memory[0] == FREE and self.deferred is None and not self.large

    def take(self, sub_socket: SubSocket, batches: bool) -> bool:
        """Append the usual events that wait at ``sub_socket`` to the queue, at most a burst
        of messages. True if nothing is left. Nothing may be deferred or in doubt."""
        take = self._take_large if self.large else self._take_burst
        with sub_socket.lock: empty = take(sub_socket, batches)  # noqa: E701  # fmt: skip
        self._memory[0] = FREE
        return empty

    def _take_burst(self, sub_socket: SubSocket, batches: bool) -> bool:
        """Mostly one loop, for speed: a call costs as much as a step of it."""
        receive, now_ns, memory = sub_socket.receive_into, self._now_ns, self._memory
        view = self._buffer.view
        self._source = sub_socket
        size = 0
        received_ns = 0
        try:
            # The first frame before anything else: its time is measured.
            size = receive(view, flags=_NOBLOCK)
            received_ns = now_ns()
            only, trackers = sub_socket.only_session, self._core.trackers
            topics = self._core.topics
            decode, incoming = decode_body, self._queue.incoming
            put = incoming.append
            prefix, topic = self._prefix, self._topic
            head, start = slice(len(prefix)), len(prefix) - 1  # position of the array
            session, publisher, expected, tracker = -1, None, -1, _NO_STREAM
            for number in range(BURST):
                if number:
                    # Usually only one waits; learning that by an exception is slow.
                    if number == 1 and not sub_socket.events():
                        return True
                    size = receive(view, flags=_NOBLOCK)
                    received_ns = now_ns()
                if memory[head] != prefix:
                    begin = memory[: memory.find(b"\0", 0, size) + 3]
                    found = topics.by_event.get(begin)
                    session = -1
                    if found is None:
                        if self._take_other(begin, size, received_ns, batches):
                            many = len(incoming) >= BURST_EVENTS
                            if not many and (number + 1) * size < _BURST_BYTES:
                                continue
                        return False
                    prefix, topic = begin, found
                    self._prefix, self._topic = prefix, topic
                    head, start = slice(len(prefix)), len(prefix) - 1
                if size < _VIEW_BYTES:
                    event = decode(memory[start:size])
                else:
                    event = decode(view[start:size])
                if event.session != session:
                    if only is not None and event.session != only:
                        return self._defer(size, received_ns)
                    session = event.session
                    tracker = trackers.get((session, topic), _NO_STREAM)
                    publisher, expected = tracker.publisher, tracker.expected
                if event.sequence != expected:
                    return self._defer(size, received_ns)
                if event.publisher != publisher:
                    if not decoding.is_named(tracker, event.publisher):
                        return self._defer(size, received_ns)
                    publisher = event.publisher
                expected += 1
                event.topic = topic
                event.received_ns = received_ns
                put(event)
                tracker.expected = expected
                if size >= _MEDIUM_BYTES and self._is_enough(size, number + 1, session):
                    return False
        except zmq.Again:
            return True
        except zmq.ZMQError:
            # Another thread has closed the socket.
            if not sub_socket.closed:
                raise
            return True
        except decoding.MALFORMED:
            return self._defer(size, received_ns)
        return False

    def waiting_in(self, sub_socket: SubSocket) -> Callable[[int], bool]:
        """Prepare to wait in the socket, which must be interruptible. The function that this
        returns waits for one message, at most so many milliseconds (-1: no limit); its caller
        has the turn. True if a burst of its events is ready. Else everything must be checked:
        it was not a usual message, none came, another thread interrupted, or none of its
        events is delivered. Then, and after an exception, the function waits no more.

        A closure in one piece: each function, and each object that it looks into, costs a
        microsecond with cold caches.
        """
        queue, core, view = self._queue, self._core, self._buffer.view
        memory, decode, trackers = self._memory, decode_body, core.trackers
        lock, now_ns, sampler = sub_socket.lock, self._now_ns, queue.sampler
        prefix, topic = self._prefix, self._topic
        # Messages that came quickly one after the other, and when the last one came.
        streak = last_ns = 0
        # An exception may come at each step: then this stays False.
        ready = self.is_ready()

        def take_next(patience_ms: int) -> bool:
            nonlocal prefix, topic, streak, last_ns, ready
            if not ready or length_hint(queue.burst):
                return False  # another thread may have left events there
            if queue.taken >= queue.plain_until and not queue.wanted():
                return False
            ready = False
            self._source = sub_socket
            try:
                if sub_socket.patience_ms != patience_ms:
                    with lock: sub_socket.set_patience(patience_ms)  # noqa: E701  # fmt: skip
                with lock: size = sub_socket.receive_into(view) if sub_socket.interrupt_message else -1  # noqa: E501, E701  # fmt: skip
            except zmq.Again:
                # Late, or after a flood of unwanted messages (`SubSocket.restrict_to`).
                return False
            except zmq.ZMQError:
                if not sub_socket.closed:
                    raise
                return False
            received_ns = now_ns()
            streak = streak + 1 if received_ns - last_ns < _BURST_GAP_NS else 0
            last_ns = received_ns
            if memory[: len(prefix)] != prefix:
                if size < 0:
                    return False
                begin = memory[: memory.find(b"\0", 0, size) + 3]
                found = core.topics.by_event.get(begin)
                if found is None:
                    usual = self._take_other(begin, size, received_ns, False)
                    if not usual or not queue.start_burst():
                        return False
                    ready = streak < _BURST_AFTER and self.is_ready()
                    return True
                prefix, topic = begin, found
            start = len(prefix) - 1
            try:
                if size < _VIEW_BYTES:
                    event = decode(memory[start:size])
                else:
                    event = decode(view[start:size])
            except decoding.MALFORMED:
                return self._defer(size, received_ns)
            session, only = event.session, sub_socket.only_session
            tracker = trackers.get((session, topic), _NO_STREAM)
            expected = tracker.expected
            if event.sequence != expected or (only is not None and session != only):
                return self._defer(size, received_ns)
            name = event.publisher
            # Another one is in the first event after the answer to a ready request.
            if name != tracker.publisher and not decoding.is_named(tracker, name):
                return self._defer(size, received_ns)
            expected += 1
            event.topic = topic
            event.received_ns = received_ns
            taken = queue.taken + 1
            if taken > queue.plain_until:
                queue.incoming.append(event)
                tracker.expected = expected
                memory[0] = FREE
                if not queue.start_burst():
                    return False
            else:
                # As `EventQueue.start_burst` does it, but without a call.
                events = [event]
                burst = iter(events)
                queue.events, queue.burst, queue.taken = events, burst, taken; tracker.expected = expected; memory[0] = FREE  # noqa: E501, E702  # fmt: skip
                if taken > sampler.due:
                    sampler.take(events, taken)
            if size >= _MEDIUM_BYTES:
                self._is_enough(size, 1, session)
            ready = streak < _BURST_AFTER and not self.large
            return True

        return take_next

    def settle(self) -> None:
        """Complete the work that an exception interrupted. Must not be interrupted itself."""
        if not self.in_doubt:
            return
        source = self._source
        if self.deferred is None and source is not None:
            frame = self._buffer.frame()
            if source.drop_parts(self._buffer.view):
                pass  # a message of several parts
            elif source.lane is not None and frame[:1] == LANE_MARK:
                self._shared.settle(source, frame, self._now_ns())
                self.defer_next()
            elif not decoding.finish(frame, self._queue.incoming, self._core):
                self.deferred = (frame, self._now_ns(), source)
        self._memory[0] = FREE

    # Inside

    def _defer(self, size: int, received_ns: int) -> bool:
        """Leave the frame in the buffer to the cold path. Always False."""
        source = self._source
        assert source is not None, "it was received"
        frame = self._memory[:size]
        self.deferred = (frame, received_ns, source); self._memory[0] = FREE  # noqa: E702  # fmt: skip
        return False

    def _is_enough(self, size: int, count: int, session: int) -> bool:
        """Whether the burst ends after an event of a frame of ``size`` bytes, the last of
        ``count``."""
        lane = None if self._source is None else self._source.lane
        if lane is not None:
            lane.saw_large(session)
        if size < LARGE_BYTES:
            return count * size >= _BURST_BYTES
        self.large = True
        self._buffer.give_back(size)
        return True

    def _take_other(
        self, begin: bytes, size: int, received_ns: int, whole: bool
    ) -> bool:
        """Append the events of the frame in the buffer if it is a batch, or an event with
        further elements, of a known stream and with the expected number. Else it is
        deferred, and the result is False."""
        memory, body = self._memory, self._buffer.view[len(begin) - 1 : size]
        if memory[0] == LANE:
            return self._take_reference(size, received_ns, whole)
        item = decoding.decode_other(begin, body, self._core.topics)
        if item is None:
            if memory[0] == _PRIVATE and is_interrupt(memory[:size]):
                memory[0] = FREE
                return False
            return self._defer(size, received_ns)
        source = self._source
        only = None if source is None else source.only_session
        tracker = decoding.usual_tracker(item, self._core, only)
        if tracker is None:
            return self._defer(size, received_ns)
        item.received_ns = received_ns
        expected = decoding.end_of(item)
        decoding.append(item, self._queue.incoming, whole=whole)
        tracker.expected = expected
        memory[0] = FREE
        self._buffer.give_back(size)
        return True

    def _take_reference(self, size: int, received_ns: int, whole: bool) -> bool:
        """As `_take_other`, of the frames to which the one in the buffer refers. The result is
        also False if they have many bytes."""
        source = self._source
        assert source is not None, "it was received"
        enough = self._shared.take(source, self._memory[:size], received_ns, whole)
        self.defer_next()
        self._memory[0] = FREE
        return self.deferred is None and not enough

    def defer_next(self) -> None:
        """The deferred frame was processed: the next one, if any."""
        later = self._shared.later
        if later:
            self.deferred = later[0]; del later[0]  # noqa: E702  # fmt: skip
        else:
            self.deferred = None

    def _take_large(self, sub_socket: SubSocket, _batches: bool) -> bool:
        taken = take_large(sub_socket, self._core, self._queue, self._now_ns)
        self.large, self.deferred = taken.large, taken.deferred
        if taken.reference is not None:
            frame, received_ns, _ = taken.reference
            self._shared.take(sub_socket, frame, received_ns, False)
            self.defer_next()
        return taken.empty
