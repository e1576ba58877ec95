"""The work under the lock of a publisher's data socket: makes and sends frames.

An exception from outside may interrupt each step. Work of several stores is in doubt until
the last store, and `_repair` repeats it (`sending/event_socket.py` explains why).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.protocol.events import encode_body
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.frame_encoder import LARGE_BYTES, Frame, FrameEncoder
from pubsub_publisher.sending.sections import uses_sections
from pubsub_publisher.sending.xpub_socket import XpubSocket
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    LANE_BYTES,
    UNBATCHED_BYTES,
    Events,
    TopicState,
    first_part,
)

if TYPE_CHECKING:
    from pubsub_publisher.sending.local_lane import LocalLane

NOBLOCK: Final = int(zmq.NOBLOCK)

STOPPED: Final = "this publisher was stopped before the event could leave"

# A topic, the number of the first event, the events, and their frame (None: the caller of
# `reserve_number` sends it; empty: it went by the local lane, see `_repair`).
_InDoubt = tuple[TopicState, int, Events, Frame | None]
_BY_LANE: Final = b""
# A longer frame of several events may be too long for subscribers.
_MOST_BYTES: Final = BATCH_BYTES + BATCH_BYTES // 4


@uses_sections
class FrameSender(XpubSocket):
    """An XPUB socket that numbers events and sends them."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        topics: Mapping[str, TopicState],
        core: PublisherCore,
        bounds: QueueBounds,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """The age of gathered events uses ``monotonic_ns``, because the clock of the time
        stamps may be set."""
        super().__init__(context, topics, core, bounds)
        self.monotonic_ns = monotonic_ns
        self._accepting = True
        self._encoder = FrameEncoder(core, bounds)
        self._large_from = self._encoder.large_from
        # Topics with gathered events, which the control thread checks.
        self._gathering: set[TopicState] = set()
        # Topics with events of signal handlers; any thread appends.
        self._overlooked: list[TopicState] = []
        self._in_doubt: _InDoubt | None
        # In frames of at least `LARGE_BYTES`.
        self.large_bytes = 0
        self.largest = 0  # frame
        self._wake_at_bytes = bounds.look_bytes
        # Too many bytes wait: no large frame is sent. Set by the control thread.
        self.bytes_full = False
        # The last events are being sent.
        self._ended = False
        # For subscribers on this host, once there are any that share memory; and the smallest
        # payload that goes by it.
        self.lane: LocalLane | None = None
        self.lane_from = sys.maxsize

    # For the local lane

    @property
    def core(self) -> PublisherCore:
        """The decisions of the publisher."""
        return self._core

    def encode(self, topic: TopicState, first: int, events: Sequence[Stamped]) -> Frame:
        """The frame of these events, for all subscribers."""
        return self._encoder.encode(topic, first, events)

    def pieces(
        self, topic: TopicState, first: int, events: Sequence[Stamped]
    ) -> list[bytes]:
        """As `encode`, in pieces."""
        return self._encoder.pieces(topic, first, events)

    def send_frame(self, frame: Frame, flags: int) -> None:
        """Send a frame. The caller holds the lock.

        Raises:
            zmq.Again: There is no room.
        """
        self._send(frame, flags)

    def tell(self, frame: bytes) -> bool:
        """Send a frame that is not an event, after all parts of the earlier events. False if there
        is no room. For the control thread."""
        try:
            self._enter(self._tell, frame)
        except zmq.Again:
            return False
        return True

    # Under the lock

    def _tell(self, frame: bytes) -> None:
        self._finish(NOBLOCK)
        self._send(frame, NOBLOCK)

    def _repair(self, flags: int = NOBLOCK) -> None:
        """Send the events in doubt again, with the same numbers, and count them. If there is
        no room, and they are counted already, they stay in doubt (`_finish`).

        Raises:
            zmq.Again: There is no room.
        """
        while self._in_doubt is not None:
            topic, first, events, frame = self._in_doubt
            # By the lane some may not have them. Whole frames reach all.
            whole = frame == _BY_LANE
            part = first_part(tuple(events)) if whole else events
            if frame is not None:
                again = frame or self._encoder.encode(topic, first, part)
                try:
                    self._send(again, flags)
                except zmq.Again:
                    if topic.next_sequence > first:
                        return
                    raise
                if whole:
                    self._count_bytes(len(again))
            topic.commit(first, part)
            first, rest = first + len(part), tuple(events)[len(part) :]
            self._in_doubt = (topic, first, rest, _BY_LANE) if rest else None

    def owed(self) -> int:
        """The number of events that have left, but that only some subscribers have."""
        if self._in_doubt is None:
            return 0
        topic, first, events, _ = self._in_doubt
        return len(events) if topic.next_sequence > first else 0

    def _finish(self, flags: int) -> None:
        """Before other events are numbered: send the frame that only some subscribers have.

        Raises:
            zmq.Again: There is no room.
        """
        if self._in_doubt is not None:
            self._repair(flags)
            if self._in_doubt is not None:
                raise zmq.Again

    def _send_one(
        self,
        topic: TopicState,
        stamp_ns: int,
        payload: bytes,
        flags: int,
        gathers: bool,
        left: bool,
    ) -> int:
        """Send an event after the gathered ones, or begin a batch with it (``gathers``).
        Returns its time stamp; 0 if this is closed, and the negative stamp if there is no
        room. ``left``: the previous call was interrupted."""
        try:
            if left:
                self._finish(NOBLOCK)
            if not self._accepting:
                return 0
            if topic.gathered or topic.fetched:
                self._flush(topic, flags)
                self._finish(flags)
        except zmq.Again:
            return -stamp_ns
        if not gathers:
            # As `_transmit` and `commit` for any number of events, in half the time.
            core, first, events = (
                self._core,
                topic.next_sequence,
                ((stamp_ns, payload),),
            )
            fields = core.address, core.session, first, stamp_ns, payload
            large = len(payload) >= self._large_from
            if large and self.bytes_full:
                return -stamp_ns
            if len(payload) >= self.lane_from:
                self.bounds.check_payload(len(payload))
                try:
                    if self._send_by_lane(topic, ((stamp_ns, payload),), flags):
                        return stamp_ns
                except zmq.Again:
                    return -stamp_ns
            frame: Frame = (
                self._encoder.encode_large(topic, *fields)
                if large
                else topic.event_prefix + encode_body(fields)
            )
            self._in_doubt = topic, first, events, frame
            try:
                self._send(frame, flags)
            except zmq.Again:
                self._in_doubt = None
                return -stamp_ns
            if topic.history is not None:
                topic.history.add(first, events)
            topic.next_sequence = first + 1
            self._in_doubt = None
            if large:
                self._count_bytes(len(frame))
            if stamp_ns >= self.look_at_ns or not self._look_due:
                self._after_send(stamp_ns)
            return stamp_ns
        topic.begun_ns = stamp_ns
        self._look_after(topic)
        topic.gathered_bytes += len(payload)
        topic.gathered.append((stamp_ns, payload))
        return stamp_ns

    def _send_by_lane(
        self, topic: TopicState, events: Sequence[Stamped], flags: int
    ) -> int:
        """Send the first of a topic's next events by the local lane; returns how many.

        Raises:
            zmq.Again: There is no room; nothing has changed.
        """
        lane = self.lane
        assert lane is not None, "it has set the size"
        if self.bytes_full:
            raise zmq.Again  # others may receive whole frames
        self._finish(flags)
        first = topic.next_sequence
        self._in_doubt = topic, first, events, _BY_LANE
        try:
            count, others, rest = lane.send(topic, first, events, flags)
        except zmq.Again:
            self._in_doubt = None
            if self._ended:
                return 0  # no time to wait for memory
            raise
        if count:
            # Only these: the others have no number yet.
            self._in_doubt = topic, first, events[:count], rest or _BY_LANE
            topic.commit(first, events[:count])
        if rest is None:
            self._in_doubt = None
        elif rest == _BY_LANE:
            self._repair(flags)
        if others:
            self._count_bytes(others)
        if count:
            self._after_send(events[0][0])
        return count

    def _send_all(self, topic: TopicState, events: Events, flags: int) -> bool:
        """Send these events in one message, after the gathered ones. Some of those may leave
        before there is no room (`zmq.Again`). False if this is closed."""
        if not self._accepting:
            return False
        self._finish(flags)
        self._flush(topic, flags)
        if events:
            self._transmit(topic, events, flags)
        return True

    def _reserve(self, topic: TopicState, event: Stamped) -> int:
        """The number of an event that the caller sends; -1 if other events of its topic must
        be sent first."""
        if topic.waits or self._in_doubt is not None:
            return -1
        first, events = topic.next_sequence, (event,)
        self._in_doubt = topic, first, events, None
        topic.commit(first, events)
        self._in_doubt = None
        return first

    def _look_after(self, topic: TopicState) -> None:
        """Make the control thread check a topic's gathered events. It is woken before that is
        recorded: it may be woken twice, but is never forgotten."""
        topic.begun_at_ns = self.monotonic_ns()
        self._gathering.add(topic)
        if not self._batches_watched:
            self.wake()
            self._batches_watched = True
        topic.watched = True

    def _look_after_or_withdraw(
        self, topic: TopicState, stamp_ns: int, payload: bytes
    ) -> int:
        """This event was gathered while no thread checked the topic, or while this was being
        closed. Returns the time stamp; 0 if the event is withdrawn."""
        gathered = topic.gathered
        if not self._accepting:
            for index in reversed(range(len(gathered))):
                if gathered[index][0] == stamp_ns and gathered[index][1] is payload:
                    del gathered[index]
                    return 0
        elif gathered:
            self._look_after(topic)
        return stamp_ns

    def _flush(self, topic: TopicState, flags: int) -> None:
        """Send the fetched and the gathered events of a topic.

        Raises:
            zmq.Again: There is no room; some events may have left.
        """
        # First, so that a thread that gathers an event meanwhile checks the topic itself.
        topic.watched = False
        if topic.fetched:
            self._flush_fetched(topic, flags)
        left = len(topic.gathered)
        while left > 0:
            sent = 0
            if len(topic.gathered[0][1]) >= self.lane_from:
                part = topic.next_part(left, LANE_BYTES)
                sent = self._send_by_lane(topic, part, flags)
            if not sent:
                part = topic.next_part(left)
                sent = self._transmit(topic, part, flags, by_lane=False)
            left -= sent
        if topic.gathered or (topic.fetched and self._accepting):
            self._look_after(topic)
        else:
            self._gathering.discard(topic)

    def _flush_fetched(self, topic: TopicState, flags: int) -> None:
        """Send the fetched events of a topic, or gather them, as far as they are plain."""
        # Constant, so that the fetching thread may send what this leaves.
        below = min(UNBATCHED_BYTES, self.bounds.payload_bytes + 1)
        for fetched in tuple(topic.fetched):
            ended = fetched.ended  # first: nothing comes after that
            if fetched.stamps_ns:
                most = min(BATCH_BYTES, self.bounds.payload_bytes)
                events = None if topic.gathered else fetched.whole(most)
                if events is None:
                    topic.gather_fetched(fetched, below)
                else:
                    self._transmit(topic, events, flags)
            if ended:
                topic.fetched.remove(fetched)

    def _flush_old(self, age_ns: int) -> bool:
        """Send the events that were gathered at least so long ago, while there is room.
        Returns whether none is left."""
        self._finish(NOBLOCK)
        while self._overlooked:
            self._overlooked[0].begun_at_ns = 0
            self._gathering.add(self._overlooked[0])
            del self._overlooked[0]
        begun_at_ns = self.monotonic_ns() - age_ns
        for topic in tuple(self._gathering):
            if topic.begun_at_ns <= begun_at_ns:
                try:
                    self._flush(topic, NOBLOCK)
                except zmq.Again:
                    continue
        self._batches_watched = bool(self._gathering)
        return not self._gathering

    def _transmit(
        self, topic: TopicState, events: Events, flags: int, *, by_lane: bool = True
    ) -> int:
        """Send the topic's next events in one message, a single one also by the local lane.
        Returns their number: of gathered events (not ``by_lane``) that are too large for one
        message, the first ones.

        Raises:
            zmq.Again: There is no room; nothing has changed.
            ConfigError: A payload is larger than the limit.
        """
        if self.bytes_full and (len(events) > 1 or len(events[0][1]) >= LARGE_BYTES):
            raise zmq.Again
        if by_lane and len(events) == 1 and len(events[0][1]) >= self.lane_from:
            self.bounds.check_payload(len(events[0][1]))
            if self._send_by_lane(topic, (events[0],), flags):
                return 1
        self._finish(flags)
        first = topic.next_sequence
        frame = self._encoder.encode(topic, first, events)
        if len(frame) > _MOST_BYTES and not by_lane and len(events) > 1:
            # Of several senders: no one has counted all bytes.
            events = first_part(tuple(events))
            frame = self._encoder.encode(topic, first, events)
        self._in_doubt = topic, first, events, frame
        try:
            self._send(frame, flags)
        except zmq.Again:
            self._in_doubt = None
            raise
        topic.commit(first, events)
        self._in_doubt = None
        if len(frame) >= LARGE_BYTES:
            self._count_bytes(len(frame))
        self._after_send(events[-1][0])
        return len(events)

    def _count_bytes(self, size: int) -> None:
        """A large frame has left. The control thread checks at intervals how much the
        subscribers have read."""
        self.large_bytes += size
        self.largest = max(self.largest, size)
        if self.large_bytes >= self._wake_at_bytes:
            self._wake_at_bytes = self.large_bytes + self.bounds.look_bytes
            self.wake()

    # Without the lock

    def _entering(self, topic: TopicState, stamp_ns: int, payload: bytes) -> bool:
        """Called before a thread waits for the lock, which may be taken or wanted. Returns
        True if it must not wait, because it holds the lock already; the event is then
        gathered."""
        if self.nested():
            return self._leave_to_control(topic, stamp_ns, payload)
        if self.attention:
            self._stand_back()
        return False

    def _leave_to_control(
        self, topic: TopicState, stamp_ns: int, payload: bytes
    ) -> bool:
        """Gather an event, and make the control thread send it at once.

        Raises:
            ConfigError: The payload is larger than the limit.
            PubSubError: This is closed.
        """
        self.bounds.check_payload(len(payload))
        if self._accepting:
            topic.gathered_bytes += len(payload)
            topic.gathered.append((stamp_ns, payload))
            self._overlooked.append(topic)
            self.attention = True
            self.wake()
            if not self._ended:
                return True
        raise PubSubError(STOPPED)

    def _watch(self, topic: TopicState, stamp_ns: int, payload: bytes) -> int:
        """An event was gathered for a topic that no thread checks, or this was closed
        meanwhile. Returns its time stamp; 0 if it is withdrawn."""
        if not self.nested():
            try:
                return self._enter(
                    self._look_after_or_withdraw, topic, stamp_ns, payload
                )
            except zmq.Again:
                pass  # after an interrupted call
        self._overlooked.append(topic)
        self.attention = True
        self.wake()
        return stamp_ns
