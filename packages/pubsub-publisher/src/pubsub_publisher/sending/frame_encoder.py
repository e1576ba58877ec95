"""Encodes one or many events into a frame, with the address and session of the publisher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pubsub_common.protocol.batches import encode_batch_frame, encode_batch_head
from pubsub_common.protocol.events import (
    binary_head,
    encode_body,
    encode_head,
    encode_large_event,
)
from pubsub_common.queue_bounds import COUNTED_BYTES, QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.topics.event_columns import EventColumns, Stamped
from pubsub_publisher.topics.topic_state import Events, TopicState

# For larger payloads, a copy costs more than the work that avoids it, and counting their bytes is
# cheap.
LARGE_BYTES: Final = COUNTED_BYTES

Frame = bytes | bytearray


class FrameEncoder:
    """``address`` and ``session`` of the core are part of every frame."""

    def __init__(self, core: PublisherCore, bounds: QueueBounds) -> None:
        self._core = core
        self._bounds = bounds
        # Payloads of this size are checked against the limit, or encoded without a copy.
        self.large_from = min(LARGE_BYTES, bounds.payload_bytes + 1)

    def encode(self, topic: TopicState, first: int, events: Events) -> Frame:
        """The frame of these events of a topic; ``first`` is the number of the first one.

        Raises:
            ConfigError: The payload of a single event is larger than the limit.
        """
        start = self._core.address, self._core.session, first
        if len(events) > 1:
            if not isinstance(events, EventColumns):
                events = EventColumns(*zip(*events, strict=True))
            return encode_batch_frame(
                topic.batch_prefix, *start, events.stamps_ns, events.payloads
            )
        stamp_ns, payload = events[0]
        if len(payload) < self.large_from:
            return topic.event_prefix + encode_body((*start, stamp_ns, payload))
        return self.encode_large(topic, *start, stamp_ns, payload)

    def pieces(
        self, topic: TopicState, first: int, events: Sequence[Stamped]
    ) -> list[bytes]:
        """The frame of these events in pieces, so that their payloads are not copied."""
        start = self._core.address, self._core.session, first
        if len(events) == 1:
            stamp_ns, payload = events[0]
            head = encode_head(*start, stamp_ns, len(payload))
            return [topic.event_prefix + head, payload]
        stamps_ns = [stamp_ns for stamp_ns, _ in events]
        found = [topic.batch_prefix + encode_batch_head(*start, stamps_ns)]
        for _, payload in events:
            found += (binary_head(len(payload)), payload)
        return found

    def encode_large(
        self,
        topic: TopicState,
        address: str,
        session: int,
        first: int,
        stamp_ns: int,
        payload: bytes,
    ) -> Frame:
        """The frame of an event of at least `large_from` bytes.

        Raises:
            ConfigError: The payload is larger than the limit.
        """
        self._bounds.check_payload(len(payload))
        return encode_large_event(
            topic.event_prefix, address, session, first, stamp_ns, payload
        )
