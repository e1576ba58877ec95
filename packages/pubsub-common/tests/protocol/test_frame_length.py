"""The end of a frame is found in a buffer with garbage behind it, for every kind of frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    encode_event,
    encode_large_event,
    encode_ready_reply,
    event_prefix,
    ready_topic,
)
from pubsub_common.protocol.frame_length import frame_length
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
)

TOPICS: Final = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40
)
SESSIONS: Final = st.integers(0, 2**53 - 1)
SEQUENCES: Final = st.integers(0, 2**61)
STAMPS: Final = st.integers(0, 2**63)
PAYLOADS: Final = st.binary(max_size=70) | st.binary(min_size=250, max_size=300)
EVENTS: Final = st.lists(st.tuples(STAMPS, PAYLOADS), min_size=1, max_size=20)
PUBLISHERS: Final = st.text(max_size=40)
GARBAGE: Final = st.binary(max_size=50)


@st.composite
def events(draw: Callable[..., Any]) -> bytes:
    encode = draw(st.sampled_from([encode_event, _encode_large]))
    return bytes(
        encode(
            draw(TOPICS),
            draw(PUBLISHERS),
            draw(SESSIONS),
            draw(SEQUENCES),
            draw(STAMPS),
            draw(PAYLOADS),
        )
    )


def _encode_large(topic: str, *fields: Any) -> bytearray:
    return encode_large_event(event_prefix(topic), *fields)


@st.composite
def batches(draw: Callable[..., Any]) -> bytes:
    stamps, payloads = zip(*draw(EVENTS), strict=True)
    body = encode_batch_body(
        draw(PUBLISHERS),
        draw(SESSIONS),
        draw(SEQUENCES),
        list(stamps),
        list(payloads),
    )
    return batch_prefix(draw(TOPICS)) + body


@st.composite
def ready_replies(draw: Callable[..., Any]) -> bytes:
    return encode_ready_reply(
        draw(TOPICS),
        draw(SESSIONS),
        draw(PUBLISHERS),
        draw(SESSIONS),
        draw(SEQUENCES),
        draw(st.integers(0, 4096)),
    )


@st.composite
def positions(draw: Callable[..., Any]) -> bytes:
    return encode_position(
        draw(TOPICS), draw(PUBLISHERS), draw(SESSIONS), draw(SEQUENCES)
    )


@st.composite
def recovery_replies(draw: Callable[..., Any]) -> bytes:
    first = draw(SEQUENCES)
    question = RecoveryRequest(
        draw(TOPICS), draw(SESSIONS), draw(SESSIONS), first, first + 5, 3
    )
    found = draw(st.just([]) | EVENTS)
    stamps = [stamp for stamp, _ in found]
    payloads = [payload for _, payload in found]
    return encode_recovery_reply(question, draw(PUBLISHERS), first, stamps, payloads)


@st.composite
def interrupts(draw: Callable[..., Any]) -> bytes:
    """What a subscriber sends itself (`pubsub_subscriber.connections.sub_socket`)."""
    return ready_topic(draw(TOPICS), draw(SESSIONS)) + b"\0\0\xc0"


FRAMES: Final = st.one_of(
    events(), batches(), ready_replies(), positions(), recovery_replies(), interrupts()
)


@given(FRAMES, GARBAGE, GARBAGE)
def test_a_frame_ends_where_it_does(frame: bytes, before: bytes, behind: bytes) -> None:
    assert frame_length(frame) == len(frame)
    assert frame_length(frame + behind) == len(frame)
    assert frame_length(bytearray(frame + behind)) == len(frame)
    assert frame_length(before + frame + behind, len(before)) == len(frame)


@given(FRAMES, st.data())
def test_half_a_frame_has_no_length(frame: bytes, data: st.DataObject) -> None:
    assert frame_length(frame[: data.draw(st.integers(0, len(frame) - 1))]) is None


OBJECTS: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=40)),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner)
    ),
    max_leaves=30,
)


@given(OBJECTS, GARBAGE)
def test_any_object_is_stepped_over(value: Any, behind: bytes) -> None:
    frame = b"a\0\1" + msgspec.msgpack.encode(value)
    assert frame_length(frame + behind) == len(frame)


@pytest.mark.parametrize(
    "value",
    [
        *(b"x" * 2**16, "x" * 2**16, [0] * 2**16, dict.fromkeys(range(2**16))),
        msgspec.msgpack.Ext(5, b"x" * 2**16),
    ],
)
def test_a_large_object_is_stepped_over(value: Any) -> None:
    frame = b"a\0\1" + msgspec.msgpack.encode(value)
    assert frame_length(frame + b"\x93") == len(frame)
    assert frame_length(frame[:-1]) is None


@given(st.binary(max_size=200))
def test_garbage_has_a_length_within_it_or_none(garbage: bytes) -> None:
    length = frame_length(garbage)
    assert length is None or 0 < length <= len(garbage)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"no zero byte",
        b"a\0",
        b"a\0\1",
        b"a\0\1\xc1",
        b"a\0\1\xdd\xff\xff\xff\xff" + b"\xdd\xff\xff\xff\xff" * 1000,
        b"a\0\1" + b"\x91" * 100_000,
    ],
)
def test_what_is_no_frame_has_no_length(garbage: bytes) -> None:
    assert frame_length(garbage) is None
