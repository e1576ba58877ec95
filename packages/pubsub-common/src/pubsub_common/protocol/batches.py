"""The batch frame: many events of one stream in one ZeroMQ frame.

One frame::

    topic in UTF-8 | 0x00 | MessagePack array of 6
                            [publisher_address, session, sequence, published_ns,
                             offsets_ns, payloads]

It stands for ``len(payloads)`` events with the sequence numbers ``sequence``,
``sequence + 1``, …; event i was published at ``published_ns + offsets_ns[i]``. The
array's size (0x96 against 0x95) tells it from a single event, so a receiver that reads one
reads the other, and the broker forwards both alike.
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
    split_frame,
    topic_prefix,
)
from pubsub_common.protocol.numbers import LIMIT

# What a batch's array begins with (MessagePack: array of 6).
BATCH_MARK: Final = b"\x96"
_NOT_TOO_MANY: Final = msgspec.Meta(max_length=MAX_BATCH_EVENTS)


class Batch(msgspec.Struct, array_like=True, gc=False):
    """Events that came together: all of one publisher and topic, numbered from
    ``sequence`` on without a gap.

    ``published_ns`` is the first event's time; ``offsets_ns`` are how much later each
    was published.
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


_decode = msgspec.msgpack.Decoder(Batch).decode


def encode_batch_body(
    publisher: str,
    session: int,
    sequence: int,
    stamps_ns: abc.Sequence[int],
    payloads: abc.Sequence[bytes],
) -> bytes:
    """What follows the topic. ``stamps_ns`` are the times of publication, at least
    one, one for each payload."""
    first_ns = stamps_ns[0]
    offsets_ns = [stamp_ns - first_ns for stamp_ns in stamps_ns]
    return encode_body((publisher, session, sequence, first_ns, offsets_ns, payloads))


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
    return topic_prefix(batch.topic) + encode_body(body)


def decode_batch_body(body: bytes | memoryview) -> Batch:
    """A batch from what follows the topic.

    Raises:
        ProtocolError: it is none.
    """
    batch = decode_any_batch_body(body)
    if not batch.payloads:
        raise ProtocolError("not a batch: no payloads")
    return batch


def decode_any_batch_body(body: bytes | memoryview) -> Batch:
    """As `decode_batch_body`, but it may be empty.

    Raises:
        ProtocolError: it is none.
    """
    try:
        batch = _decode(body)
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


def is_batch(frame: bytes, topic_end: int) -> bool:
    """Whether a frame, whose topic ends at ``topic_end``, is a batch."""
    return frame[topic_end + 1 : topic_end + 2] == BATCH_MARK


def cut_to_limit(frame: bytes, limit: int) -> tuple[str, bytes, int]:
    """The topic of an event or batch, the frame, and how many events are in it; a batch
    of more than ``limit`` (at least 1) is cut down to that.

    Raises:
        ProtocolError: the frame is neither.
    """
    end = frame.find(b"\0")
    if end <= 0 or not is_batch(frame, end):
        end = split_frame(frame)
    try:
        topic = frame[:end].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"not an event: {error}") from error
    if not is_batch(frame, end):
        return topic, frame, 1
    batch = decode_batch_body(memoryview(frame)[end + 1 :])
    if len(batch) <= limit:
        return topic, frame, len(batch)
    batch.topic = topic
    return topic, encode_batch(batch.first(limit)), limit
