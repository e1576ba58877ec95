"""Strict checks of the frames of a publisher.

A subscriber ignores further elements of an array, so that the protocol can grow; here they are
failures, since a client that is tried speaks the version of the page.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import BATCH_KIND, Batch, decode_batch_body
from pubsub_common.protocol.events import (
    EVENT_KIND,
    Event,
    ReadyRequest,
    check_publisher,
    decode_event,
    decode_ready_reply,
    parse_ready_request,
)
from pubsub_common.protocol.recovery_messages import (
    REPLY_MAX_BYTES,
    REPLY_MAX_EVENTS,
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
)
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed

_ELEMENTS: Final = {EVENT_KIND: 5, BATCH_KIND: 6}
_decode_any: Final = msgspec.msgpack.Decoder().decode


class Answer(NamedTuple):
    """A ready answer: to what, and the number of the next event."""

    question: ReadyRequest
    event: Event


class Recovered(NamedTuple):
    """The answer to a question for events."""

    question: RecoveryRequest
    batch: Batch


class Position(NamedTuple):
    """How far a publisher is with a topic."""

    topic: str
    event: Event


Sent = list[Event] | Answer | Recovered | Position


def read_sent(frame: bytes) -> Sent:
    """The events in a frame, or the answer.

    Raises:
        Failed: it is not one, or has more than the protocol page says.
    """
    try:
        sent, section = _read(frame)
    except ProtocolError as error:
        raise Failed(
            "frames of this protocol", f"{error}: {frame[:100].hex()}", page.EVENTS
        ) from None
    return _checked(frame, sent, section)


def _read(frame: bytes) -> tuple[Sent, str]:
    ready = decode_ready_reply(frame)
    if ready is not None:
        question = parse_ready_request(frame[: frame.index(b"\0")])
        assert question is not None, "its answer was read"
        return Answer(question, ready[1]), page.READY
    recovered = decode_recovery_reply(frame)
    if recovered is not None:
        return Recovered(*recovered), page.RECOVERY
    position = decode_position(frame)
    if position is not None:
        return Position(*position), page.RECOVERY
    end = frame.find(b"\0")
    if frame[end + 1 : end + 2] == BATCH_KIND:
        batch = decode_batch_body(frame[end + 2 :])
        batch.topic = frame[:end].decode(errors="replace")
        return batch.events(), page.BATCHES
    return [decode_event(frame)], page.EVENTS


def _checked(frame: bytes, sent: Sent, section: str) -> Sent:
    end = frame.index(b"\0")
    kind, array = frame[end + 1 : end + 2], _decode_any(frame[end + 2 :])
    if len(array) != _ELEMENTS[kind]:
        raise Failed(f"{_ELEMENTS[kind]} elements", str(len(array)), section)
    try:
        check_publisher(array[0])
    except ProtocolError as error:
        raise Failed("its address in its events", str(error), section) from None
    if isinstance(sent, Answer | Position):
        event = sent.event
        if event.published_ns or event.payload:
            raise Failed(
                "`published_ns` 0 and an empty payload",
                f"{event.published_ns} and {event.payload[:20]!r}",
                section,
            )
    elif isinstance(sent, Recovered):
        payloads = sent.batch.payloads
        size = sum(map(len, payloads))
        if len(payloads) > REPLY_MAX_EVENTS or (
            len(payloads) > 1 and size > REPLY_MAX_BYTES
        ):
            raise Failed(
                f"answers of at most {REPLY_MAX_EVENTS} events and {REPLY_MAX_BYTES} "
                "bytes",
                f"{len(payloads)} events, {size} bytes",
                section,
            )
    return sent
