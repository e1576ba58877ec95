"""Batches: the same events, in one frame."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.defaults import MAX_BATCH_EVENTS
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import (
    Batch,
    batch_prefix,
    cut_to_limit,
    decode_batch_body,
    encode_batch,
    encode_batch_body,
    is_batch,
    item_at,
)
from pubsub_common.protocol.events import (
    Event,
    encode_event,
    encode_large_event,
)

TOPICS = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=63
)
SESSIONS = st.integers(0, 2**53 - 1)
SEQUENCES = st.integers(0, 2**52)
STAMPS = st.integers(0, 2**62)
PAYLOADS = st.binary(max_size=50)
EVENTS = st.lists(st.tuples(STAMPS, PAYLOADS), min_size=1, max_size=20)


@given(TOPICS, SESSIONS, SEQUENCES, EVENTS)
def test_a_batch_holds_the_events_that_were_put_in(
    topic: str, session: int, sequence: int, events: list[tuple[int, bytes]]
) -> None:
    stamps, payloads = ([list(column) for column in zip(*events, strict=True)]) or []
    body = encode_batch_body("10.0.0.1:1", session, sequence, stamps, payloads)
    batch = decode_batch_body(body)
    batch.topic = topic
    batch.received_ns = 5

    assert len(batch) == len(events)
    assert list(batch) == [
        Event("10.0.0.1:1", session, sequence + i, stamp, payload, topic, 5)
        for i, (stamp, payload) in enumerate(events)
    ]
    assert encode_batch(batch) == batch_prefix(topic) + body


@given(EVENTS)
def test_payloads_can_be_views_of_the_body(events: list[tuple[int, bytes]]) -> None:
    stamps, payloads = ([list(column) for column in zip(*events, strict=True)]) or []
    body = encode_batch_body("10.0.0.1:1", 1, 2, stamps, payloads)
    batch = decode_batch_body(body, views=True)
    views = [each.payload for each in batch]
    assert all(isinstance(each, memoryview) and each.obj is body for each in views)
    assert [bytes(each) for each in views] == payloads
    assert [each.published_ns for each in batch] == stamps


@given(TOPICS, SESSIONS, SEQUENCES, EVENTS, st.integers(1, 25))
def test_a_batch_is_cut_to_its_first_events(
    topic: str,
    session: int,
    sequence: int,
    events: list[tuple[int, bytes]],
    limit: int,
) -> None:
    stamps, payloads = (list(column) for column in zip(*events, strict=True))
    body = encode_batch_body("10.0.0.1:1", session, sequence, stamps, payloads)
    frame = batch_prefix(topic) + body

    found, cut, count = cut_to_limit(frame, limit)

    assert found == topic
    assert count == min(limit, len(events))
    assert list(decode_batch_body(cut[len(batch_prefix(topic)) :])) == [
        Event("10.0.0.1:1", session, sequence + i, stamp, payload)
        for i, (stamp, payload) in enumerate(events[:limit])
    ]


@given(TOPICS, SESSIONS, SEQUENCES, STAMPS, PAYLOADS)
def test_an_event_counts_as_one(
    topic: str, session: int, sequence: int, stamp: int, payload: bytes
) -> None:
    frame = encode_event(topic, "10.0.0.1:1", session, sequence, stamp, payload)

    assert cut_to_limit(frame, 1) == (topic, frame, 1)
    assert not is_batch(frame, len(topic.encode()))


@given(
    SESSIONS,
    SEQUENCES,
    STAMPS,
    st.lists(
        st.sampled_from([0, 1, 255, 256, 65_535, 65_536, 70_000, 2**20 + 1]),
        min_size=1,
        max_size=4,
    ),
)
def test_a_large_event_is_encoded_like_any_other(
    session: int, sequence: int, stamp: int, sizes: list[int]
) -> None:
    for index, size in enumerate(sizes):
        payload = bytes([index]) * size
        fields = ("10.0.0.1:1", session, sequence, stamp, payload)

        assert encode_large_event(b"A\0\1", *fields) == encode_event("A", *fields)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_batch_or_a_protocol_error(body: bytes) -> None:
    try:
        batch = decode_batch_body(body)
    except ProtocolError:
        return
    assert len(list(batch)) == len(batch) >= 1


@given(st.binary(max_size=60), st.integers(1, 3))
def test_any_frame_can_be_counted_or_is_a_protocol_error(
    frame: bytes, limit: int
) -> None:
    try:
        topic, cut, count = cut_to_limit(frame, limit)
    except ProtocolError:
        return
    assert cut.startswith(topic.encode() + b"\0")
    assert 1 <= count <= max(limit, 1)


def test_a_batch_of_one_event() -> None:
    event = Event("10.0.0.1:1", 2, 3, 4, b"x", "A", 9)

    assert list(Batch.of(event)) == [event]


@pytest.mark.parametrize("header", [b"\x98", b"\xdc\0\x08", b"\xdd\0\0\0\x08"])
def test_a_batch_may_have_further_elements_and_any_header(header: bytes) -> None:
    fields = ["10.0.0.1:1", 2, 3, 4, [0, 5], [b"x", b""], "no topic", {"1": [2]}]
    body = header + b"".join(map(msgspec.msgpack.encode, fields))

    batch = decode_batch_body(body)
    assert (batch.topic, batch.received_ns) == ("", 0)
    assert [(e.sequence, e.published_ns, e.payload) for e in batch] == [
        (3, 4, b"x"),
        (4, 9, b""),
    ]
    assert cut_to_limit(b"A\0\2" + body, 2) == ("A", b"A\0\2" + body, 2)
    _, cut, _ = cut_to_limit(b"A\0\2" + body, 1)
    assert decode_batch_body(cut[3:]).payloads == [b"x"]


@pytest.mark.parametrize("kind", [0, 3, 0x95, 0x96, 255])
def test_what_is_of_another_kind_is_neither_an_event_nor_a_batch(kind: int) -> None:
    frame = encode_event("A", "10.0.0.1:1", 1, 2, 3, b"")

    with pytest.raises(ProtocolError, match="another kind"):
        item_at(frame[:2] + bytes([kind]) + frame[3:], 1)


def test_a_batch_without_events_is_refused() -> None:
    body = msgspec.msgpack.encode(("p", 1, 2, 3, [], []))

    with pytest.raises(ProtocolError, match="no payloads"):
        decode_batch_body(body)


def test_a_batch_of_too_many_events_is_none() -> None:
    """Decoded, each would take a hundred times what it takes in the frame."""
    body = msgspec.msgpack.encode(
        ("p", 1, 0, 0, [0] * (MAX_BATCH_EVENTS + 1), [b""] * (MAX_BATCH_EVENTS + 1))
    )

    with pytest.raises(ProtocolError, match="length <= 65536"):
        decode_batch_body(body)
