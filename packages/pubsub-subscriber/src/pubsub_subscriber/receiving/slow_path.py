"""Handles all other frames: first events of streams, gaps, answers, malformed frames.

`pubsub_subscriber.receiving.fast_path` takes what is as usual, in a hurry, and gives
everything else to this, which goes step by step.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, Final

import msgspec

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import decode_batch_body, is_batch
from pubsub_common.protocol.events import (
    EVENT_MARK,
    Event,
    decode_body,
    decode_ready_reply,
    split_frame,
)
from pubsub_common.protocol.recovery_messages import (
    decode_position,
    decode_recovery_reply,
)
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.sub_socket import SubSocket, is_interrupt
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.stream_table import StreamTable, location_of

_log = logging.getLogger(__name__)

# Sessions that a publisher may have by one connection, besides the one we were told of: each
# is remembered, and nobody else bounds them.
_MAX_SESSIONS: Final = 8


class SlowPath:
    """Takes any frame and keeps count of streams. For the user's thread, except `streams`,
    which ``lock`` guards."""

    def __init__(
        self,
        topics: Mapping[bytes, str],
        streams: StreamTable,
        lock: threading.Lock,
        on_gap: Callable[[Gap], None],
        recovery: Recovery | None,
        send_requests: Callable[[], object],
    ) -> None:
        """``topics`` are our topics by what their events begin with. ``send_requests`` is called
        when ``recovery`` has something to request."""
        self.malformed_count = 0
        self._topics = topics
        self._streams = streams
        self._lock = lock
        self._on_gap = on_gap
        self._recovery = recovery
        self._send_requests = send_requests

    def take(
        self,
        frame: bytes,
        received_ns: int,
        sub_socket: SubSocket,
        items: MutableSequence[Any],
    ) -> None:
        """Append the events of a frame to ``items``, those that are ours to have."""
        try:
            end = frame.find(b"\0")
            topic = self._topics.get(frame[: end + 1] + EVENT_MARK)
            if topic is None:
                self._take_private(frame, received_ns, sub_socket, items)
            elif is_batch(frame, end):
                batch = decode_batch_body(memoryview(frame)[end + 1 :])
                batch.topic = topic
                batch.received_ns = received_ns
                self._check_sender(batch.session, sub_socket)
                for event in batch:
                    self._observe(event, items)
            else:
                split_frame(frame)
                event = decode_body(memoryview(frame)[end + 1 :])
                event.topic = topic
                event.received_ns = received_ns
                self._check_sender(event.session, sub_socket)
                self._observe(event, items)
        except (ProtocolError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._count_malformed(error)
        if self._recovery is not None and self._recovery.subscription_changes:
            self._send_requests()

    def _observe(self, event: Event, items: MutableSequence[Any]) -> None:
        """Count an event that is the first of its stream, or not the expected one; it
        is appended to ``items`` unless it is a duplicate, must wait for those before
        it, or is not ours to have."""
        session, topic, number = event.session, event.topic, event.sequence
        recovery = self._recovery
        gap = None
        with self._lock:
            recovering = recovery is not None and recovery.has_gap((session, topic))
            if not recovering and self._streams.skip(session, topic, number + 1):
                return
            tracker = self._streams.tracker(session, topic)
            if recovery is None:
                before = tracker.duplicated
                gap = tracker.observe(number)
                if tracker.duplicated == before:
                    items.append(event)
            else:
                recovery.on_event(tracker, event, time.monotonic(), items)
        if gap is not None:
            self._on_gap(gap)

    def _take_private(
        self,
        frame: bytes,
        received_ns: int,
        sub_socket: SubSocket,
        items: MutableSequence[Any],
    ) -> None:
        """A frame that is addressed to this subscriber."""
        if is_interrupt(frame):
            return
        answered = decode_ready_reply(frame)
        if answered is not None:
            topic, answer = answered
            self._check_sender(answer.session, sub_socket)
            with self._lock:
                self._streams.on_ready_reply(answer.session, topic)
            self._reached(answer.session, topic, answer.sequence, items)
            return
        told = None if self._recovery is None else decode_position(frame)
        if told is not None:
            topic, position = told
            self._check_sender(position.session, sub_socket)
            self._reached(position.session, topic, position.sequence, items)
            return
        recovered = None if self._recovery is None else decode_recovery_reply(frame)
        if recovered is None or self._recovery is None:
            raise ProtocolError("an event of a topic that was not subscribed")
        question, batch = recovered
        self._check_sender(batch.session, sub_socket)
        batch.received_ns = received_ns
        with self._lock:
            gaps = self._recovery.on_reply(question, batch, time.monotonic(), items)
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
            recovering = recovery is not None and recovery.has_gap((session, topic))
            if not recovering and self._streams.skip(session, topic, sequence):
                return
            tracker = self._streams.tracker(session, topic)
            if recovery is None:
                gap = tracker.expect(sequence)
            else:
                recovery.on_position(tracker, sequence, time.monotonic(), items)
        if gap is not None:
            self._on_gap(gap)

    def _count_malformed(self, error: Exception) -> None:
        self.malformed_count += 1
        if self.malformed_count == 1:
            _log.warning(
                "ignoring malformed event frame (further ones are counted, not logged): %s",
                error,
            )

    def _check_sender(self, session: int, sub_socket: SubSocket) -> None:
        """Whether what came by a socket of one publisher may be of this session: its own,
        or one that nobody else is known to have. It may have another one than we were
        told, when the broker had nothing from it for a while; its events arrive sooner than
        the broker's word, and it counts on us.

        Raises:
            ProtocolError: it is another publisher's, or one too many.
        """
        only = sub_socket.only_session
        if only is None or session == only or session in sub_socket.other_sessions:
            return
        with self._lock:
            known, expected = map(self._streams.publisher, (session, only))
        if known is None:
            if len(sub_socket.other_sessions) >= _MAX_SESSIONS:
                raise ProtocolError("a publisher sent messages under too many sessions")
        elif expected is None or location_of(known) != location_of(expected):
            raise ProtocolError(
                "a publisher sent a message under another publisher's session"
            )
        sub_socket.other_sessions.add(session)
