"""Reads all kinds of frames that a subscriber receives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch, item_at
from pubsub_common.protocol.events import (
    EVENT_MARK,
    Event,
    check_publisher,
    decode_ready_reply,
)
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """The next event of a publisher's topic has number ``sequence``, and all events before it
    have been sent here; ``ready`` in a reply of the ready handshake."""

    session: int
    topic: str
    sequence: int
    ready: bool


@dataclasses.dataclass(frozen=True, slots=True)
class RecoveryReply:
    """A publisher's reply to ``request``."""

    request: RecoveryRequest
    batch: Batch

    @property
    def session(self) -> int:
        """The publisher's session."""
        return self.batch.session

    @property
    def topic(self) -> str:
        """The topic of the request."""
        return self.request.topic

    @property
    def sequence(self) -> int:
        """The number of the first event that the publisher still has."""
        return self.batch.sequence


Frame = Event | Batch | Position | RecoveryReply


def read_frame(
    frame: bytes, topics: Mapping[bytes, str], received_ns: int, *, recovering: bool
) -> Frame:
    """The content of a frame that was received at ``received_ns``. ``topics`` are the subscribed
    topics by the prefix of their events. Positions and recovered events are for a
    ``recovering`` subscriber only.

    Raises:
        ProtocolError: The frame is not for this subscriber.
    """
    end = frame.find(b"\0")
    topic = topics.get(frame[: end + 1] + EVENT_MARK)
    if topic is None:
        return _read_private(frame, received_ns, recovering=recovering)
    found = item_at(frame, end)
    check_publisher(found.publisher)
    found.topic = topic
    found.received_ns = received_ns
    return found


def _read_private(frame: bytes, received_ns: int, *, recovering: bool) -> Frame:
    """A frame that is addressed to this subscriber."""
    answered = decode_ready_reply(frame)
    if answered is not None:
        topic, answer = answered
        return Position(answer.session, topic, answer.sequence, ready=True)
    if recovering:
        told = decode_position(frame)
        if told is not None:
            topic, position = told
            return Position(position.session, topic, position.sequence, ready=False)
        recovered = decode_recovery_reply(frame)
        if recovered is not None:
            request, batch = recovered
            check_publisher(batch.publisher)
            batch.received_ns = received_ns
            return RecoveryReply(request, batch)
    raise ProtocolError("an event of a topic that was not subscribed")
