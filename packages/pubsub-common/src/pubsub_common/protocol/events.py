"""The event frame, and the frames of the ready handshake.

One ZeroMQ frame::

    topic in UTF-8 | 0x00 | kind 0x01 | MessagePack array
                                        [publisher_address, session, sequence,
                                         published_ns, payload]

The zero byte makes ZeroMQ's prefix match exact: a subscription to ``A\\0`` never
matches an event of ``AB``. The kind distinguishes an event from a batch
(`pubsub_common.protocol.batches`) and from later kinds: a receiver drops frames of unknown
kinds. The array may have more elements, which are ignored; this module writes five, and detects
these arrays (``fixarray``, 0x95) by a comparison.

The ready handshake uses the same frame under a private topic::

    0xFF | topic in UTF-8 | 0xFF | subscriber session, 14 hexadecimal digits
                                 | topics, 4 | attempt, 4

0xFF never occurs in UTF-8, so no event topic can collide with it, and it sorts after all of
them: libzmq sends subscriptions to a new peer in byte order, so a publisher that sees the ready
subscription has seen the topics' subscriptions before. A publisher replies with an event that has
the next ``sequence`` of the topic and an empty payload. A subscriber without a reply asks again
with another ``attempt``: a publisher sees only the first of equal subscriptions, and an old
connection of the same subscriber may still hold one.
"""

from __future__ import annotations

import functools
import re
from typing import Annotated, Final, NamedTuple

import msgspec

from pubsub_common.defaults import MAX_PUBLISHER_LENGTH
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.numbers import Count

EVENT_KIND: Final = b"\x01"
# Written after the topic's zero byte: the kind, and MessagePack's array of 5.
EVENT_MARK: Final = EVENT_KIND + b"\x95"
# First byte of a topic for one subscriber only.
PRIVATE_MARK: Final = b"\xff"
SESSION_DIGITS: Final = 14
_TOPICS_DIGITS: Final = 4
_ATTEMPT_DIGITS: Final = 4
_READY_DIGITS: Final = SESSION_DIGITS + _TOPICS_DIGITS + _ATTEMPT_DIGITS
# Attempts are counted up to here, and then from 0 again.
ATTEMPTS: Final = 16**_ATTEMPT_DIGITS
LOWER_HEX: Final = frozenset(b"0123456789abcdef")

_BIN8, _BIN16, _BIN32 = 0xC4, 0xC5, 0xC6

# JSON numbers are exact up to here in every language (IEEE 754 doubles).
SESSION_BITS: Final = 53

Session = Annotated[int, msgspec.Meta(ge=0, lt=2**SESSION_BITS)]
Sequence = Count
# Its characters are checked by `check_publisher`, once for a stream.
Publisher = Annotated[str, msgspec.Meta(max_length=MAX_PUBLISHER_LENGTH)]
# The characters of all kinds of addresses: no space, no line end, no control characters, and no
# first character that a spreadsheet would run.
_PUBLISHER: Final = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9_.:%\[\]-]*")


class Event(msgspec.Struct, array_like=True, gc=False):
    """One published event, as a subscriber gets it.

    ``published_ns`` and ``received_ns`` are nanoseconds of the clock that both sides
    registered with. ``publisher`` is ``IP:port``.
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
        """One-way latency in nanoseconds. A negative value is not clipped: it shows a clock
        error."""
        return self.received_ns - self.published_ns

    @property
    def latency(self) -> float:
        """One-way latency in seconds."""
        return (self.received_ns - self.published_ns) / 1e9


class _ViewedEvent(Event, array_like=True, gc=False):
    """An event with a payload that is not copied from the frame."""

    payload: memoryview  # type: ignore[assignment]


class _WireEvent(msgspec.Struct, array_like=True, gc=False):
    """The known elements of an event's array."""

    publisher: Publisher
    session: Session
    sequence: Sequence
    published_ns: int
    payload: bytes


_encoder: Final = msgspec.msgpack.Encoder()
encode_body = _encoder.encode
encode_into = _encoder.encode_into
# For arrays of exactly five, the usual ones. An Event has two more fields, which keep their
# defaults.
decode_body = msgspec.msgpack.Decoder(Event).decode
# As `decode_body`, but the payload is a view of the frame, which must stay as it is.
decode_viewed_body = msgspec.msgpack.Decoder(_ViewedEvent).decode
_decode_wire = msgspec.msgpack.Decoder(_WireEvent).decode


def check_publisher(name: str) -> None:
    """Raises:
    ProtocolError: ``name`` is not the address of a publisher.
    """
    if not _PUBLISHER.fullmatch(name):
        raise ProtocolError(f"a publisher's name is not an address: {name!r}")


def topic_prefix(topic: str) -> bytes:
    """The first bytes of each frame of ``topic``, and its subscription."""
    return topic.encode() + b"\0"


def event_prefix(topic: str) -> bytes:
    """The first bytes of an event of ``topic``: everything before its array."""
    return topic_prefix(topic) + EVENT_KIND


def encode_event(
    topic: str,
    publisher: str,
    session: int,
    sequence: int,
    published_ns: int,
    payload: bytes,
) -> bytes:
    """One event as a frame. The caller has validated the topic."""
    return event_prefix(topic) + encode_body(
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
    """As `encode_event`, with a prepared `event_prefix`, and without one copy of the payload."""
    frame = bytearray(prefix)
    encode_into(
        (publisher, session, sequence, published_ns, payload), frame, len(prefix)
    )
    return frame


def encode_head(
    publisher: str, session: int, sequence: int, published_ns: int, size: int
) -> bytes:
    """The array of an event up to its payload, which has ``size`` bytes."""
    body = encode_body((publisher, session, sequence, published_ns, b""))
    return body[: -len(binary_head(0))] + binary_head(size)


@functools.lru_cache(64)
def binary_head(size: int) -> bytes:
    """The bytes before a payload of this size: the head of MessagePack's binary."""
    if size < 2**8:
        return bytes((_BIN8, size))
    if size < 2**16:
        return bytes((_BIN16,)) + size.to_bytes(2)
    return bytes((_BIN32,)) + size.to_bytes(4)


def topic_end(frame: bytes) -> int:
    """Index of the zero byte that ends the topic.

    Raises:
        ProtocolError: There is no topic, or no zero byte.
    """
    end = frame.find(b"\0")
    if end <= 0:
        raise ProtocolError("not an event frame: no topic and zero byte")
    return end


def event_at(frame: bytes, end: int) -> Event:
    """The event in a frame with a topic that ends at ``end``; the topic is not filled in.

    Raises:
        ProtocolError: The frame is not an event.
    """
    if frame[end + 1 : end + 2] != EVENT_KIND:
        raise ProtocolError("not an event frame: it is of another kind")
    return decode_any_body(memoryview(frame)[end + 2 :])


def decode_any_body(body: bytes | memoryview) -> Event:
    """As `decode_body`, of an array that may have further elements.

    Raises:
        ProtocolError: It is not an event.
    """
    try:
        wire = _decode_wire(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not an event frame: {error}") from error
    return Event(*msgspec.structs.astuple(wire))


def decode_event(frame: bytes, received_ns: int = 0) -> Event:
    """An event from a frame.

    Raises:
        ProtocolError: The frame is not an event.
    """
    end = topic_end(frame)
    event = event_at(frame, end)
    try:
        event.topic = frame[:end].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"not an event frame: {error}") from error
    event.received_ns = received_ns
    return event


class ReadyRequest(NamedTuple):
    """The content of a ready topic. ``topics`` is the number of ready topics of this
    subscriber, if they come over several connections; else 0. ``attempt`` distinguishes
    the request from earlier ones."""

    topic: str
    session: int
    topics: int = 0
    attempt: int = 0


def ready_topic(
    topic: str, subscriber_session: int, topics: int = 0, attempt: int = 0
) -> bytes:
    """The private topic on which publishers reply to this subscriber about ``topic``.

    Over one connection, a publisher that has seen one ready topic has seen all event topics.
    Over several (a broker with several forwarders) it has not, so ``topics`` is the number of
    ready topics to wait for.
    """
    digits = (
        f"{subscriber_session:0{SESSION_DIGITS}x}"
        f"{topics:0{_TOPICS_DIGITS}x}"
        f"{attempt % ATTEMPTS:0{_ATTEMPT_DIGITS}x}"
    )
    return PRIVATE_MARK + topic.encode() + PRIVATE_MARK + digits.encode()


def parse_ready_request(raw: bytes) -> ReadyRequest | None:
    """The content of a ready topic; None for anything else.

    Each content has one spelling, because the reply goes to the spelling of `ready_topic`:
    other digits that ``int`` accepts are not accepted here.
    """
    if not raw.startswith(PRIVATE_MARK):
        return None
    topic, mark, digits = raw[1:].rpartition(PRIVATE_MARK)
    if not mark or not topic or len(digits) != _READY_DIGITS:
        return None
    if not LOWER_HEX.issuperset(digits):
        return None
    session = int(digits[:SESSION_DIGITS], 16)
    topics = int(digits[SESSION_DIGITS:-_ATTEMPT_DIGITS], 16)
    attempt = int(digits[-_ATTEMPT_DIGITS:], 16)
    if session >= 2**SESSION_BITS:
        return None
    try:
        return ReadyRequest(topic.decode(), session, topics, attempt)
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
    attempt: int = 0,
) -> bytes:
    """A publisher's reply to a ready subscription."""
    asked = ready_topic(topic, subscriber_session, topics, attempt)
    body = encode_body((publisher, session, next_sequence, 0, b""))
    return asked + b"\0" + EVENT_KIND + body


def decode_ready_reply(frame: bytes) -> tuple[str, Event] | None:
    """(topic, reply) if the frame is a ready reply; else None.

    Raises:
        ProtocolError: It begins like one and is malformed.
    """
    if not frame.startswith(PRIVATE_MARK):
        return None
    end = topic_end(frame)
    parsed = parse_ready_topic(frame[:end])
    if parsed is None:
        raise ProtocolError("broken ready topic")
    return parsed[0], event_at(frame, end)
