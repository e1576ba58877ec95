"""The frames by which a subscriber requests missing events from a publisher.

A subscriber asks by subscribing to a private topic, as in the ready handshake
(`pubsub_common.protocol.events`): the request takes the path of its subscriptions, through the
broker or not, and the reply the path of events. So recovery needs no other port, and the sides
stay anonymous to each other. The private topic::

    0xFE | topic in UTF-8 | 0xFE | publisher session, 14 hexadecimal digits
                                 | subscriber session, 14 | first, 14 | last, 14
                                 | attempt, 4

requests the events ``first`` to ``last`` of a stream. The publisher replies on it with a frame
like a batch (`pubsub_common.protocol.batches`). It has as many events as fit into one reply, and
its ``sequence`` is the number of the first one that the publisher still has: earlier requested
events are lost. Without events, ``sequence`` is the first number that the publisher has or will
have. The subscriber then requests the rest, so it never gets more than it can take.

A loss at the end of a stream is not visible before the next event. Therefore a publisher sends
the position of each topic every `POSITION_INTERVAL_S` seconds, to subscribers of::

    0xFD | topic in UTF-8 | 0x00

in a frame like an event, with the next number as ``sequence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import (
    BATCH_KIND,
    Batch,
    decode_any_batch_body,
    is_batch,
)
from pubsub_common.protocol.events import (
    ATTEMPTS,
    EVENT_KIND,
    LOWER_HEX,
    SESSION_BITS,
    Event,
    encode_body,
    event_at,
)
from pubsub_common.protocol.numbers import LARGEST

RECOVERY_MARK: Final = b"\xfe"
POSITION_MARK: Final = b"\xfd"
# How often publishers tell how far they are.
POSITION_INTERVAL_S: Final = 2.0
# An answer holds no more events than this, and no more bytes, but at least one event.
REPLY_MAX_EVENTS: Final = 256
REPLY_MAX_BYTES: Final = 262_144

_WIDTHS: Final = (14, 14, 14, 14, 4)
_DIGITS: Final = sum(_WIDTHS)


class RecoveryRequest(NamedTuple):
    """A subscriber asks for the events ``first`` to ``last``, both included."""

    topic: str
    publisher: int
    subscriber: int
    first: int
    last: int
    attempt: int


def recovery_topic(question: RecoveryRequest) -> bytes:
    """The private topic that asks ``question``."""
    topic, publisher, subscriber, first, last, attempt = question
    numbers = (publisher, subscriber, first, last, attempt % ATTEMPTS)
    digits = "".join(
        f"{number:0{width}x}" for number, width in zip(numbers, _WIDTHS, strict=True)
    )
    return RECOVERY_MARK + topic.encode() + RECOVERY_MARK + digits.encode()


def parse_recovery_request(raw: bytes) -> RecoveryRequest | None:
    """What a recovery topic asks; None for anything else. As with ready topics, each
    question has one spelling."""
    if not raw.startswith(RECOVERY_MARK):
        return None
    topic, mark, digits = raw[1:].rpartition(RECOVERY_MARK)
    if not mark or not topic or len(digits) != _DIGITS:
        return None
    if not LOWER_HEX.issuperset(digits):
        return None
    numbers, start = [], 0
    for width in _WIDTHS:
        numbers.append(int(digits[start : start + width], 16))
        start += width
    publisher, subscriber, first, last, attempt = numbers
    if max(publisher, subscriber) >= 2**SESSION_BITS or not (first <= last <= LARGEST):
        return None
    try:
        name = topic.decode()
    except UnicodeDecodeError:
        return None
    return RecoveryRequest(name, publisher, subscriber, first, last, attempt)


def encode_recovery_reply(
    question: RecoveryRequest,
    publisher: str,
    sequence: int,
    stamps_ns: Sequence[int],
    payloads: Sequence[bytes],
) -> bytes:
    """The frame that answers ``question``: events from number ``sequence`` on."""
    first_ns = stamps_ns[0] if stamps_ns else 0
    offsets_ns = [stamp_ns - first_ns for stamp_ns in stamps_ns]
    body = (publisher, question.publisher, sequence, first_ns, offsets_ns, payloads)
    return recovery_topic(question) + b"\0" + BATCH_KIND + encode_body(body)


def decode_recovery_reply(frame: bytes) -> tuple[RecoveryRequest, Batch] | None:
    """(question, answer) when the frame is the answer to a question; None when it is
    not.

    Raises:
        ProtocolError: it starts like one and is broken.
    """
    if not frame.startswith(RECOVERY_MARK):
        return None
    end = frame.find(b"\0")
    question = parse_recovery_request(frame[: max(end, 0)])
    if question is None:
        raise ProtocolError("broken recovery topic")
    if not is_batch(frame, end):
        raise ProtocolError("a recovery answer is of the kind of a batch")
    answer = decode_any_batch_body(memoryview(frame)[end + 2 :])
    if answer.session != question.publisher or answer.sequence < question.first:
        raise ProtocolError("a recovery answer to another question")
    answer.topic = question.topic
    return question, answer


def position_prefix(topic: str) -> bytes:
    """What a subscription to the positions of ``topic`` names."""
    return POSITION_MARK + topic.encode() + b"\0"


def parse_position_prefix(raw: bytes) -> str | None:
    """The topic in a subscription to positions; None for anything else."""
    if not raw.startswith(POSITION_MARK) or raw.find(b"\0") != len(raw) - 1:
        return None
    try:
        return raw[1:-1].decode() or None
    except UnicodeDecodeError:
        return None


def encode_position(
    topic: str, publisher: str, session: int, next_sequence: int
) -> bytes:
    """A publisher tells how far a topic went."""
    body = encode_body((publisher, session, next_sequence, 0, b""))
    return position_prefix(topic) + EVENT_KIND + body


def decode_position(frame: bytes) -> tuple[str, Event] | None:
    """(topic, position) when the frame tells how far a publisher is, in the event's
    ``session`` and ``sequence``; None when it is something else.

    Raises:
        ProtocolError: it starts like one and is broken.
    """
    if not frame.startswith(POSITION_MARK):
        return None
    end = frame.find(b"\0")
    topic = parse_position_prefix(frame[: end + 1])
    if topic is None:
        raise ProtocolError("broken position topic")
    return topic, event_at(frame, end)
