"""The batch frame: many events of one stream in one ZeroMQ frame.

One frame::

    topic in UTF-8 | 0x00 | kind 0x02 | MessagePack array
                                        [publisher_address, session, sequence,
                                         published_ns, offsets_ns, payloads]

It stands for ``len(payloads)`` events with the sequence numbers ``sequence``,
``sequence + 1``, …; event i was published at ``published_ns + offsets_ns[i]``. The
kind tells it from a single event, and further elements of the array are ignored, as those of
an event's are (`pubsub_common.protocol.events`). The broker forwards both alike.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from pubsub_common.defaults import MAX_BATCH_EVENTS
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.events import (
    Event,
    Publisher,
    Sequence,
    Session,
    encode_body,
    encode_into,
    event_at,
    topic_end,
    topic_prefix,
)
from pubsub_common.protocol.numbers import LIMIT

BATCH_KIND: Final = b"\x02"
# MessagePack's array of 6, and the bytes that are written after the topic's zero byte.
_SIX: Final = b"\x96"
BATCH_MARK: Final = BATCH_KIND + _SIX
_EMPTY: Final = b"\xc4\x00"  # a payload of no bytes
_NOT_TOO_MANY: Final = msgspec.Meta(max_length=MAX_BATCH_EVENTS)


class Batch(msgspec.Struct, array_like=True, gc=False):
    """Events of one publisher and topic that came together, numbered from ``sequence`` on
    without a gap.

    ``published_ns`` is the time of the first event; ``offsets_ns`` are the later times minus
    that.
    """

    publisher: Publisher
    session: Session
    sequence: Sequence
    published_ns: int
    offsets_ns: Annotated[list[int], _NOT_TOO_MANY]
    payloads: Annotated[list[bytes], _NOT_TOO_MANY]
    topic: str = ""
    received_ns: int = 0

    def __len__(self) -> int:
        return len(self.payloads)

    def __iter__(self) -> Iterator[Event]:
        """The events one by one."""
        return iter(self.events())

    def events(self) -> list[Event]:
        """The events one by one."""
        publisher, session, topic = self.publisher, self.session, self.topic
        first_ns, received_ns = self.published_ns, self.received_ns
        return [
            Event(
                publisher,
                session,
                number,
                first_ns + offset_ns,
                payload,
                topic,
                received_ns,
            )
            for number, (offset_ns, payload) in enumerate(
                zip(self.offsets_ns, self.payloads, strict=True), self.sequence
            )
        ]

    @classmethod
    def of(cls, event: Event) -> Batch:
        """A batch of one."""
        return cls(
            event.publisher,
            event.session,
            event.sequence,
            event.published_ns,
            [0],
            [event.payload],
            event.topic,
            event.received_ns,
        )

    def first(self, count: int) -> Batch:
        """Its first ``count`` events."""
        return msgspec.structs.replace(
            self, offsets_ns=self.offsets_ns[:count], payloads=self.payloads[:count]
        )


class _ViewedBatch(Batch, array_like=True, gc=False):
    """A batch with payloads that are not copied from the frame."""

    payloads: Annotated[list[memoryview], _NOT_TOO_MANY]  # type: ignore[assignment]


class _WireBatch(msgspec.Struct, array_like=True, gc=False):
    """The known elements of a batch's array."""

    publisher: Publisher
    session: Session
    sequence: Sequence
    published_ns: int
    offsets_ns: Annotated[list[int], _NOT_TOO_MANY]
    payloads: Annotated[list[bytes], _NOT_TOO_MANY]


_decode = msgspec.msgpack.Decoder(Batch).decode  # arrays of exactly six
_decode_viewed = msgspec.msgpack.Decoder(_ViewedBatch).decode
_decode_wire = msgspec.msgpack.Decoder(_WireBatch).decode


def batch_prefix(topic: str) -> bytes:
    """The first bytes of a batch of ``topic``: everything before its array."""
    return topic_prefix(topic) + BATCH_KIND


def encode_batch_frame(
    prefix: bytes,
    publisher: str,
    session: int,
    sequence: int,
    stamps_ns: abc.Sequence[int],
    payloads: abc.Sequence[bytes],
) -> bytearray:
    """A frame with a prepared `batch_prefix`. ``stamps_ns`` are the times of publication, at
    least one, one for each payload. The payloads are copied once."""
    first_ns = stamps_ns[0]
    offsets_ns = [stamp_ns - first_ns for stamp_ns in stamps_ns]
    frame = bytearray(prefix)
    body = (publisher, session, sequence, first_ns, offsets_ns, payloads)
    encode_into(body, frame, len(prefix))
    return frame


def encode_batch_body(
    publisher: str,
    session: int,
    sequence: int,
    stamps_ns: abc.Sequence[int],
    payloads: abc.Sequence[bytes],
) -> bytes:
    """The array of `encode_batch_frame`."""
    start = publisher, session, sequence
    return bytes(encode_batch_frame(b"", *start, stamps_ns, payloads))


def encode_batch_head(
    publisher: str,
    session: int,
    sequence: int,
    stamps_ns: abc.Sequence[int],
) -> bytes:
    """As `encode_batch_body`, up to the first payload; a `binary_head` is before each."""
    count = len(stamps_ns)
    body = encode_batch_body(publisher, session, sequence, stamps_ns, [b""] * count)
    return body[: -count * len(_EMPTY)]


def encode_batch(batch: Batch) -> bytes:
    """A batch as a frame."""
    body = (
        batch.publisher,
        batch.session,
        batch.sequence,
        batch.published_ns,
        batch.offsets_ns,
        batch.payloads,
    )
    return batch_prefix(batch.topic) + encode_body(body)


def decode_batch_body(body: bytes | memoryview, *, views: bool = False) -> Batch:
    """A batch from its array; with ``views`` its payloads are views of it, if it is in the usual
    form.

    Raises:
        ProtocolError: It is not a batch.
    """
    batch = decode_any_batch_body(body, views=views)
    if not batch.payloads:
        raise ProtocolError("not a batch: no payloads")
    return batch


def decode_any_batch_body(body: bytes | memoryview, *, views: bool = False) -> Batch:
    """As `decode_batch_body`, but it may be empty.

    Raises:
        ProtocolError: It is not a batch.
    """
    try:
        if body[:1] == _SIX:
            batch = _decode_viewed(body) if views else _decode(body)
        else:
            batch = Batch(*msgspec.structs.astuple(_decode_wire(body)))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a batch: {error}") from error
    if len(batch.payloads) != len(batch.offsets_ns):
        raise ProtocolError(
            f"not a batch: {len(batch.payloads)} payloads, "
            f"{len(batch.offsets_ns)} times"
        )
    if batch.sequence + len(batch.payloads) > LIMIT:
        raise ProtocolError(f"not a batch: numbers up to {LIMIT} and beyond")
    return batch


def is_batch(frame: bytes, end: int) -> bool:
    """Whether a frame with a topic that ends at ``end`` has the kind of a batch."""
    return frame[end + 1 : end + 2] == BATCH_KIND


def item_at(frame: bytes, end: int) -> Event | Batch:
    """The event or the batch in a frame with a topic that ends at ``end``; the topic is not
    filled in.

    Raises:
        ProtocolError: It is neither.
    """
    if is_batch(frame, end):
        return decode_batch_body(memoryview(frame)[end + 2 :])
    return event_at(frame, end)


def cut_to_limit(frame: bytes, limit: int) -> tuple[str, bytes, int]:
    """The topic of an event or batch, the frame, and its number of events; a batch of more than
    ``limit`` (at least 1) is cut down to that, and to the known elements.

    Raises:
        ProtocolError: The frame is neither.
    """
    end = topic_end(frame)
    try:
        topic = frame[:end].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"not an event: {error}") from error
    item = item_at(frame, end)
    if isinstance(item, Event):
        return topic, frame, 1
    if len(item) <= limit:
        return topic, frame, len(item)
    item.topic = topic
    return topic, encode_batch(item.first(limit)), limit
