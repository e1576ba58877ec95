"""Frames that look like events and are not."""

from __future__ import annotations

from typing import Any, Final, Protocol

from pubsub_common.defaults import MAX_BATCH_EVENTS, MAX_PUBLISHER_LENGTH
from pubsub_common.protocol.batches import BATCH_KIND
from pubsub_common.protocol.events import EVENT_KIND, encode_body
from pubsub_common.protocol.numbers import LARGEST

_EVENT, _BATCH = EVENT_KIND, BATCH_KIND
_FIRST_FIXED: Final = 0x90


class Identity(Protocol):
    """The publisher of the frames."""

    session: int
    address: str

    def next(self, topic: str) -> int: ...


def event_array(publisher: Identity, number: Any, payload: Any) -> tuple[Any, ...]:
    """The elements of an event's array."""
    return (
        publisher.address,
        publisher.session,
        number,
        1_700_000_000_000_000_000,
        payload,
    )


def batch_array(
    publisher: Identity, number: Any, offsets: Any, payloads: Any
) -> tuple[Any, ...]:
    """The elements of a batch's array."""
    return *event_array(publisher, number, offsets), payloads


def malformed_frames_of(publisher: Identity) -> list[tuple[bytes, bytes, str]]:
    """Frames that are neither events nor batches, with the next number of A: kind, array, and
    the fault."""
    next_number = publisher.next("A")
    good = encode_body(event_array(publisher, next_number, b"x"))
    name, session = publisher.address, publisher.session

    def event(*array: Any) -> bytes:
        return encode_body(array)

    def batch(number: Any, offsets: Any, payloads: Any) -> bytes:
        return encode_body((name, session, number, 0, offsets, payloads))

    most = [0] * (MAX_BATCH_EVENTS + 1)
    return [
        (b"", b"", "nothing follows the zero byte"),
        (_EVENT, b"", "no array"),
        (_EVENT, good[:-1], "it is cut off"),
        (_EVENT, good + b"\0", "a byte follows the array"),
        (_EVENT, b"\xc1", "no MessagePack"),
        (_EVENT, b"\xdd\xff\xff\xff\xff", "an array of 2^32 - 1 that is not there"),
        (_EVENT, bytes([_FIRST_FIXED + 4]) + good[1:], "an array of four"),
        (_EVENT, event(name, session, next_number, 0), "four elements"),
        (_EVENT, event(7, session, next_number, 0, b"x"), "publisher is a number"),
        (
            _EVENT,
            event("x" * (MAX_PUBLISHER_LENGTH + 1), session, next_number, 0, b"x"),
            "publisher is too long",
        ),
        (
            _EVENT,
            event("a b\n", session, next_number, 0, b"x"),
            "publisher is not an address",
        ),
        (_EVENT, event(name, -1, next_number, 0, b"x"), "session is negative"),
        (_EVENT, event(name, 2**53, next_number, 0, b"x"), "session of 54 bits"),
        (_EVENT, event(name, session, -1, 0, b"x"), "sequence is negative"),
        (_EVENT, event(name, session, LARGEST + 1, 0, b"x"), "sequence of 54 bits"),
        (
            _EVENT,
            event(name, session, float(next_number), 0, b"x"),
            "sequence is a float",
        ),
        (
            _EVENT,
            event(name, session, str(next_number), 0, b"x"),
            "sequence is a string",
        ),
        (_EVENT, event(name, session, next_number, 0.5, b"x"), "time is a float"),
        (_EVENT, event(name, session, next_number, 0, "x"), "payload is a string"),
        (_EVENT, event(name, session, next_number, 0, None), "payload is nil"),
        (_BATCH, good, "a batch that is an event"),
        (_EVENT, batch(next_number, [0], [b"x"]), "an event that is a batch"),
        (_BATCH, batch(next_number, [], []), "no events"),
        (_BATCH, batch(next_number, [0], [b"x", b"y"]), "fewer times than payloads"),
        (_BATCH, batch(next_number, [0], ["x"]), "payload is a string"),
        (_BATCH, batch(next_number, ["0"], [b"x"]), "time is a string"),
        (_BATCH, batch(next_number, most, [b""] * len(most)), "too many events"),
        (_BATCH, batch(LARGEST, [0, 0], [b"x", b"y"]), "numbers beyond 2^53 - 1"),
    ]
