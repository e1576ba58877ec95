"""The event frame, and the frames of the ready handshake.

One ZeroMQ frame::

    topic in UTF-8 | 0x00 | MessagePack array of 5
                            [publisher_address, session, sequence,
                             published_ns, payload]

The zero byte makes ZeroMQ's prefix match exact: a subscription to ``A\\0`` never
matches an event of ``AB``. The array is MessagePack's ``fixarray`` (0x95), so a
frame of another shape is recognised by one byte.

The ready handshake uses the same frame under a private topic::

    0xFF | topic in UTF-8 | 0xFF | subscriber session, 14 hexadecimal digits

0xFF never occurs in UTF-8, so no event topic can collide with it, and it sorts
behind all of them: libzmq sends subscriptions to a new peer in byte order, hence
a publisher that sees the ready subscription has seen the topics' subscriptions before it.
A publisher answers it with an event whose ``sequence`` is the next one of the
topic and whose payload is empty.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

import msgspec

from pubsub_common.defaults import MAX_PUBLISHER_LENGTH
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.numbers import Count

# What an event's array begins with (MessagePack: array of 5).
EVENT_MARK: Final = b"\x95"
# What a topic begins with that is for one subscriber alone.
PRIVATE_MARK: Final = b"\xff"
_SESSION_DIGITS: Final = 14
_TOPICS_DIGITS: Final = 4
LOWER_HEX: Final = frozenset(b"0123456789abcdef")

# JSON numbers are exact up to here in every language (IEEE 754 doubles).
SESSION_BITS: Final = 53

Session = Annotated[int, msgspec.Meta(ge=0, lt=2**SESSION_BITS)]
Sequence = Count
# Its characters are checked by `check_publisher`, once for a stream.
Publisher = Annotated[str, msgspec.Meta(max_length=MAX_PUBLISHER_LENGTH)]
# What addresses consist of, of any kind: no space, no line end, nothing that controls a
# terminal, and no beginning that a spreadsheet would run.
_PUBLISHER: Final = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.:%\[\]-]*")


class Event(msgspec.Struct, array_like=True, gc=False):
    """One published event as a subscriber sees it.

    ``published_ns`` and ``received_ns`` are nanoseconds of the clock that both
    sides registered with. ``publisher`` is ``IP:port``.
    """

    publisher: Publisher
    session: Session
    sequence: Sequence
    published_ns: int
    payload: bytes
    topic: str = ""
    received_ns: int = 0

    @property
    def latency_ns(self) -> int:
        """One-way latency in nanoseconds. Not clipped: a negative value is a clock
        fault that the reader must see."""
        return self.received_ns - self.published_ns

    @property
    def latency(self) -> float:
        """One-way latency in seconds."""
        return (self.received_ns - self.published_ns) / 1e9


_encoder: Final = msgspec.msgpack.Encoder()
encode_body = _encoder.encode
_encode_into = _encoder.encode_into
# An Event has two fields more than the wire, which stay at their defaults here.
decode_body = msgspec.msgpack.Decoder(Event).decode


def check_publisher(name: str) -> None:
    """Raises:
    ProtocolError: ``name`` is not the address of a publisher.
    """
    if not _PUBLISHER.fullmatch(name):
        raise ProtocolError(f"a publisher's name is no address: {name!r}")


def topic_prefix(topic: str) -> bytes:
    """The bytes that an event of ``topic`` starts with, and that a subscription names."""
    return topic.encode() + b"\0"


def encode_event(
    topic: str,
    publisher: str,
    session: int,
    sequence: int,
    published_ns: int,
    payload: bytes,
) -> bytes:
    """One event as a frame. The caller has validated the topic."""
    return topic_prefix(topic) + encode_body(
        (publisher, session, sequence, published_ns, payload)
    )


def encode_large_event(
    prefix: bytes,
    publisher: str,
    session: int,
    sequence: int,
    published_ns: int,
    payload: bytes,
) -> bytearray:
    """As `encode_event`, with the topic's prefix ready made, and one copy of the payload
    less.
    """
    frame = bytearray(prefix)
    _encode_into(
        (publisher, session, sequence, published_ns, payload), frame, len(prefix)
    )
    return frame


def split_frame(frame: bytes) -> int:
    """Index of the zero byte that ends the topic.

    Raises:
        ProtocolError: there is none, or no array of five follows it.
    """
    end = frame.find(b"\0")
    if end <= 0 or frame[end + 1 : end + 2] != EVENT_MARK:
        raise ProtocolError("not an event frame: no topic, zero byte, array of five")
    return end


def decode_event(frame: bytes, received_ns: int = 0) -> Event:
    """An event from a frame.

    Raises:
        ProtocolError: the frame is not an event.
    """
    end = split_frame(frame)
    try:
        event = decode_body(frame[end + 1 :])
        event.topic = frame[:end].decode()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not an event frame: {error}") from error
    event.received_ns = received_ns
    return event


class ReadyRequest(NamedTuple):
    """What a ready topic says. ``topics`` is how many ready topics this subscriber has
    in all, when they come over several connections; else 0."""

    topic: str
    session: int
    topics: int


def ready_topic(topic: str, subscriber_session: int, topics: int = 0) -> bytes:
    """The private topic on which publishers answer this subscriber about ``topic``.

    Over one connection, a publisher that sees one ready topic has seen all event topics. Over
    several (a broker with several forwarders) this says nothing about the others, so
    there ``topics`` tells how many ready topics to wait for.
    """
    digits = f"{subscriber_session:0{_SESSION_DIGITS}x}"
    if topics:
        digits += f"{topics:0{_TOPICS_DIGITS}x}"
    return PRIVATE_MARK + topic.encode() + PRIVATE_MARK + digits.encode()


def parse_ready_request(raw: bytes) -> ReadyRequest | None:
    """What a ready topic says; None for anything else.

    There is one spelling of each, because the answer goes to the spelling of
    `ready_topic`: other digits that ``int`` would take are none here.
    """
    if not raw.startswith(PRIVATE_MARK):
        return None
    topic, mark, digits = raw[1:].rpartition(PRIVATE_MARK)
    counted = len(digits) == _SESSION_DIGITS + _TOPICS_DIGITS
    if not mark or not topic or not (counted or len(digits) == _SESSION_DIGITS):
        return None
    if not LOWER_HEX.issuperset(digits):
        return None
    session = int(digits[:_SESSION_DIGITS], 16)
    topics = int(digits[_SESSION_DIGITS:], 16) if counted else 0
    if session >= 2**SESSION_BITS or (counted and not topics):
        return None
    try:
        return ReadyRequest(topic.decode(), session, topics)
    except UnicodeDecodeError:
        return None


def parse_ready_topic(raw: bytes) -> tuple[str, int] | None:
    """(topic, subscriber session) of a ready topic; None for anything else."""
    question = parse_ready_request(raw)
    return None if question is None else (question.topic, question.session)


def encode_ready_reply(
    topic: str,
    subscriber_session: int,
    publisher: str,
    session: int,
    next_sequence: int,
    topics: int = 0,
) -> bytes:
    """What a publisher sends when it sees the ready subscription."""
    body = encode_body((publisher, session, next_sequence, 0, b""))
    return ready_topic(topic, subscriber_session, topics) + b"\0" + body


def decode_ready_reply(frame: bytes) -> tuple[str, Event] | None:
    """(topic, answer) when the frame is a ready answer; None when it is not.

    Raises:
        ProtocolError: it starts like one and is broken.
    """
    if not frame.startswith(PRIVATE_MARK):
        return None
    end = split_frame(frame)
    parsed = parse_ready_topic(frame[:end])
    if parsed is None:
        raise ProtocolError("broken ready topic")
    try:
        return parsed[0], decode_body(frame[end + 1 :])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"broken ready answer: {error}") from error
