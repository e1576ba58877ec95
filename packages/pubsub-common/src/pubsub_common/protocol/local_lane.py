"""The local lane: large events between processes of one host, by shared memory.

The payload of a large event is in memory that publisher and subscriber share
(`pubsub_common.shared_memory`). What the connection carries in its place is a *reference*, so
that order, numbers, queues and the ready handshake are those of the connection::

    0x02 | 'e' | publisher session, 14 hexadecimal digits | 0x00 | kind 0x03
         | MessagePack array [number of the first sample, sizes of the frames in bytes]

A sample holds the frame that the publisher would have sent. Three subscriptions begin with
0x02, which is in no topic and sorts before all of them:

* ``0x02 'e'``: to references.
* ``0x02 'n' SUBSCRIBER``: this subscriber is *narrow*. In the place of ``TOPIC 0x00`` it has
  subscribed to the two forms in which events and batches are usually written, an array of 5
  and one of 6 (0x95, 0x96). So a publisher reaches all other subscribers alone where it
  writes the array with a length of two bytes (0xDC), which MessagePack allows.
* ``0x02 'r' SUBSCRIBER PUBLISHER``: this subscriber reads the memory of this publisher.

A publisher answers the last two with a reference without sizes. A subscriber that becomes narrow
keeps ``TOPIC 0x00`` until it has a reference of each publisher: frames in the other form may be on
their way, and libzmq drops frames without a subscription on arrival too.

A publisher may send references while each narrow subscriber reads its memory. Everybody else
receives whole frames, and so do all when there is a doubt, or no room: an event that comes twice
has the same number, and is not counted as a duplicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from pubsub_common.defaults import MAX_BATCH_EVENTS
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import BATCH_MARK
from pubsub_common.protocol.events import (
    EVENT_MARK,
    LOWER_HEX,
    SESSION_DIGITS,
    topic_prefix,
)
from pubsub_common.protocol.numbers import Count

LANE_MARK: Final = b"\x02"
REFERENCES: Final = LANE_MARK + b"e"
_NARROW: Final = LANE_MARK + b"n"
_READS: Final = LANE_MARK + b"r"
_REFERENCE_KIND: Final = b"\x03"
# MessagePack's array with a length of two bytes.
_LONG_ARRAY: Final = b"\xdc\x00"
_SHORT_ARRAY: Final = 0x90

# The first byte of references.
LANE: Final = LANE_MARK[0]


class Reference(msgspec.Struct, array_like=True, gc=False):
    """Frames of these ``sizes``, in bytes, are in the samples from this ``number`` on."""

    number: Count
    sizes: Annotated[list[Count], msgspec.Meta(max_length=MAX_BATCH_EVENTS)]


class ReadsMemory(NamedTuple):
    """A subscriber is narrow (``publisher`` is None), or reads the memory of a publisher;
    both are sessions."""

    subscriber: int
    publisher: int | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Reference).decode
_HEAD_BYTES: Final = len(REFERENCES) + SESSION_DIGITS + 2
_digits: Final = f"{{:0{SESSION_DIGITS}x}}".format


def reference_head(publisher: int) -> bytes:
    """The first bytes of the references of a publisher: everything before the array."""
    return REFERENCES + _digits(publisher).encode() + b"\0" + _REFERENCE_KIND


def encode_reference(head: bytes, number: int, sizes: Sequence[int]) -> bytes:
    """A reference, with its `reference_head`."""
    return head + _encode((number, sizes))


def decode_reference(frame: bytes) -> tuple[int, Reference]:
    """The publisher's session and the reference.

    Raises:
        ProtocolError: It is not a reference.
    """
    digits = frame[len(REFERENCES) : _HEAD_BYTES - 2]
    if (
        not frame.startswith(REFERENCES)
        or frame[_HEAD_BYTES - 2 : _HEAD_BYTES] != b"\0" + _REFERENCE_KIND
        or not LOWER_HEX.issuperset(digits)
    ):
        raise ProtocolError("not a reference")
    try:
        return int(digits, 16), _decode(memoryview(frame)[_HEAD_BYTES:])
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"not a reference: {error}") from error


def narrow_subscription(subscriber: int) -> bytes:
    """By this subscription a subscriber says that it is narrow."""
    return _NARROW + _digits(subscriber).encode()


def reads_subscription(subscriber: int, publisher: int) -> bytes:
    """By this one it says that it reads the memory of a publisher."""
    return _READS + (_digits(subscriber) + _digits(publisher)).encode()


def parse_lane_subscription(raw: bytes) -> ReadsMemory | None:
    """The content of one of the two; None for anything else."""
    kind, digits = raw[: len(_READS)], raw[len(_READS) :]
    if not LOWER_HEX.issuperset(digits):
        return None
    if kind == _NARROW and len(digits) == SESSION_DIGITS:
        return ReadsMemory(int(digits, 16))
    if kind == _READS and len(digits) == 2 * SESSION_DIGITS:
        return ReadsMemory(
            int(digits[:SESSION_DIGITS], 16), int(digits[SESSION_DIGITS:], 16)
        )
    return None


def is_lane_subscription(raw: bytes) -> bool:
    """Whether a subscription is one of the three of the lane."""
    return raw == REFERENCES or parse_lane_subscription(raw) is not None


def narrow_prefixes(topic: str) -> tuple[bytes, bytes]:
    """The subscriptions of a narrow subscriber to a topic."""
    prefix = topic_prefix(topic)
    return prefix + EVENT_MARK, prefix + BATCH_MARK


def is_narrow(raw: bytes) -> bool:
    """Whether a subscription is one of `narrow_prefixes`."""
    return raw.endswith((b"\0" + EVENT_MARK, b"\0" + BATCH_MARK))


def for_others(frame: bytes | bytearray, array: int) -> bytearray:
    """A frame with the array at index ``array``, so that narrow subscribers do not receive
    it."""
    changed = bytearray(frame)
    changed[array : array + 1] = _LONG_ARRAY + bytes((frame[array] - _SHORT_ARRAY,))
    return changed
