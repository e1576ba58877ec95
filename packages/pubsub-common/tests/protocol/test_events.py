"""The event frame and the ready handshake: exact bytes, and bytes from anybody."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.events import (
    Event,
    decode_event,
    decode_ready_reply,
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    parse_ready_topic,
    ready_topic,
    topic_end,
    topic_prefix,
)

TOPICS = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=63
)
SESSIONS = st.integers(0, 2**53 - 1)
SEQUENCES = st.integers(0, 2**53 - 1)
STAMPS = st.integers(-(2**63), 2**64 - 1)
PUBLISHERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
PAYLOADS = st.binary(max_size=200)


@given(TOPICS, PUBLISHERS, SESSIONS, SEQUENCES, STAMPS, PAYLOADS, STAMPS)
def test_an_event_is_decoded_as_it_was_encoded(
    topic: str,
    publisher: str,
    session: int,
    sequence: int,
    published_ns: int,
    payload: bytes,
    received_ns: int,
) -> None:
    frame = encode_event(topic, publisher, session, sequence, published_ns, payload)

    assert decode_event(frame, received_ns) == Event(
        publisher, session, sequence, published_ns, payload, topic, received_ns
    )


@given(TOPICS, TOPICS, PAYLOADS)
def test_a_subscription_matches_the_events_of_its_topic_only(
    topic: str, other: str, payload: bytes
) -> None:
    frame = encode_event(topic, "10.0.0.1:5556", 1, 2, 3, payload)

    assert frame.startswith(topic_prefix(topic))
    assert frame.startswith(topic_prefix(other)) == (topic == other)


def test_a_subscription_of_a_topic_does_not_match_a_longer_topic() -> None:
    frame = encode_event("AB", "10.0.0.1:5556", 1, 2, 3, b"")

    assert not frame.startswith(topic_prefix("A"))


def test_the_payload_may_hold_anything_that_the_frame_is_made_of() -> None:
    payload = b"\0\x95\xff" + encode_event("B", "p", 1, 1, 1, b"")

    assert decode_event(encode_event("A", "p", 0, 0, 0, payload)).payload == payload


@given(st.binary(max_size=100))
def test_any_bytes_are_an_event_or_a_protocol_error(data: bytes) -> None:
    try:
        event = decode_event(data)
    except ProtocolError:
        return
    assert data.startswith(topic_prefix(event.topic))


@given(
    st.binary(min_size=1, max_size=10).filter(lambda topic: b"\0" not in topic),
    st.binary(max_size=40),
)
def test_any_body_is_an_event_or_a_protocol_error(topic: bytes, body: bytes) -> None:
    frame = topic + b"\0\1\x95" + body
    try:
        event = decode_event(frame)
    except ProtocolError:
        return
    assert 0 <= event.session < 2**53
    assert 0 <= event.sequence < 2**53


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_frame_is_an_event_or_a_protocol_error(at: int, byte: int) -> None:
    frame = bytearray(encode_event("topic", "10.0.0.1:5556", 77, 8, 99, b"x" * 150))
    frame[at % len(frame)] = byte
    try:
        event = decode_event(bytes(frame))
    except ProtocolError:
        return
    assert isinstance(event, Event)


@given(st.integers(0, 40))
def test_a_frame_that_was_cut_off_is_refused(length: int) -> None:
    frame = encode_event("topic", "10.0.0.1:5556", 77, 8, 99, b"x" * 30)

    with pytest.raises(ProtocolError):
        decode_event(frame[: min(length, len(frame) - 1)])


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"A", id="no zero byte"),
        pytest.param(b"A\0", id="no array"),
        pytest.param(b"A\0\1", id="no array behind the kind"),
        pytest.param(b"\0\1\x95\xa1p\0\0\0\xc4\0", id="no topic"),
        pytest.param(b"A\0\1\x94\xa1p\0\0\0", id="array of four"),
        pytest.param(b"A\0\x95\xa1p\0\0\0\xc4\0", id="no kind"),
        pytest.param(b"A\0\0\x95\xa1p\0\0\0\xc4\0", id="kind 0"),
        pytest.param(b"A\0\2\x95\xa1p\0\0\0\xc4\0", id="kind of a batch"),
        pytest.param(b"A\0\3\x95\xa1p\0\0\0\xc4\0", id="unknown kind"),
        pytest.param(b"A\0\1\x96\xa1p\0\0\0\xc4\0", id="cut off behind the fifth"),
        pytest.param(b"A\0\1\x95\xa1p\0\0\0\xc4\0\0", id="bytes behind the array"),
        pytest.param(b"A\0\1\x95\xa1p\0\0\0\xa0", id="payload is text"),
        pytest.param(b"A\0\1\x95\xc4\1p\0\0\0\xc4\0", id="publisher is bytes"),
        pytest.param(b"A\0\1\x95\xa1p\xca\0\0\0\0\0\0\xc4\0", id="session is a float"),
        pytest.param(b"A\0\1\x95\xa1p\0\xff\0\xc4\0", id="sequence is negative"),
        pytest.param(b"A\0\1\x95\xa1p\xff\0\0\xc4\0", id="session is negative"),
        pytest.param(b"A\0\1\x95\xa1\xff\0\0\0\xc4\0", id="publisher is not UTF-8"),
        pytest.param(b"\xff\0\1\x95\xa1p\0\0\0\xc4\0", id="topic is not UTF-8"),
        pytest.param(b"A\0\1\x95\xdd\xff\xff\xff\xff", id="an array of 4 billion"),
        pytest.param(b"A\0\1\x95\xc6\xff\xff\xff\xff", id="4 GiB announced"),
        pytest.param(b"A\0\1\x95" + b"\x91" * 100_000, id="deeply nested"),
    ],
)
def test_a_malformed_event_is_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_event(frame)


@pytest.mark.parametrize("session", [2**53, 2**64 - 1])
def test_a_session_beyond_53_bits_is_refused(session: int) -> None:
    with pytest.raises(ProtocolError):
        decode_event(encode_event("A", "p", session, 0, 0, b""))


def test_a_sequence_beyond_53_bits_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_event(encode_event("A", "p", 0, 2**53, 0, b""))


HEADERS: dict[str, Callable[[int], bytes]] = {
    "fixarray": lambda size: bytes([0x90 + size]),
    "array 16": lambda size: b"\xdc" + size.to_bytes(2, "big"),
    "array 32": lambda size: b"\xdd" + size.to_bytes(4, "big"),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    "more",
    [[], ["topic"], [{"headers": 1}, 7], [None], [msgspec.msgpack.Ext(5, b"x"), [[]]]],
)
def test_an_array_may_be_longer_and_have_any_header(
    header: str, more: list[object]
) -> None:
    """Bytes after the fifth element do not belong to the event."""
    fields = ["10.0.0.1:1", 2, 3, 4, b"payload", *more]
    body = HEADERS[header](len(fields)) + b"".join(map(msgspec.msgpack.encode, fields))

    assert decode_event(b"A\0\1" + body, 9) == Event(
        "10.0.0.1:1", 2, 3, 4, b"payload", "A", 9
    )
    answer = ready_topic("A", 5) + b"\0\1" + body
    assert decode_ready_reply(answer) == ("A", Event("10.0.0.1:1", 2, 3, 4, b"payload"))


def test_the_topic_ends_at_the_first_zero_byte() -> None:
    assert topic_end(b"AB\0\1\x95\0\0") == 2


def test_latency_is_receipt_minus_publication_in_either_unit() -> None:
    event = Event("p", 0, 0, 1_000, b"", "A", 2_501_000)

    assert event.latency_ns == 2_500_000
    assert event.latency == 0.0025


def test_a_negative_latency_is_shown_as_it_is() -> None:
    assert Event("p", 0, 0, 1_000, b"", "A", 400).latency_ns == -600


# The ready handshake


@given(TOPICS, SESSIONS)
def test_a_ready_topic_is_parsed_as_it_was_built(topic: str, session: int) -> None:
    assert parse_ready_topic(ready_topic(topic, session)) == (topic, session)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda raw: b"\xff" + raw))
def test_a_ready_topic_has_one_spelling(raw: bytes) -> None:
    parsed = parse_ready_request(raw)

    assert parsed is None or ready_topic(*parsed) == raw


@given(TOPICS, SESSIONS, st.integers(0, 0xFFFF), st.integers(0, 2**20))
def test_a_ready_topic_tells_how_many_there_are_and_how_often_it_was_asked(
    topic: str, session: int, topics: int, attempt: int
) -> None:
    raw = ready_topic(topic, session, topics, attempt)

    assert parse_ready_request(raw) == (topic, session, topics, attempt % 2**16)
    assert parse_ready_topic(raw) == (topic, session)
    answer = encode_ready_reply(topic, session, "10.0.0.1:1", 2, 3, topics, attempt)
    assert answer.startswith(raw + b"\0")
    assert decode_ready_reply(answer) == (topic, Event("10.0.0.1:1", 2, 3, 0, b""))


def test_a_ready_topic_has_one_length() -> None:
    assert parse_ready_request(ready_topic("A", 1)) is not None
    assert parse_ready_request(ready_topic("A", 1)[:-4]) is None
    assert parse_ready_request(ready_topic("A", 1) + b"0000") is None


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"A\0", id="an event's topic"),
        pytest.param(b"\xff", id="the mark alone"),
        pytest.param(b"\xffA\xff", id="no session"),
        pytest.param(b"\xffA\xff0000000000000a", id="the session alone"),
        pytest.param(b"\xffA\xff0000000000000a000000+1", id="sign in the attempt"),
        pytest.param(b"\xff\xff0000000000000a00000000", id="no topic"),
        pytest.param(b"\xffA0000000000000a00000000", id="no second mark"),
        pytest.param(b"\xffA\xff000000000000a00000000", id="21 digits"),
        pytest.param(b"\xffA\xff00000000000000a00000000", id="23 digits"),
        pytest.param(b"\xffA\xff0000000000000A00000000", id="upper case"),
        pytest.param(b"\xffA\xff0x00000000000a00000000", id="prefix 0x"),
        pytest.param(b"\xffA\xff-000000000000a00000000", id="sign"),
        pytest.param(b"\xffA\xff 000000000000a00000000", id="space"),
        pytest.param(b"\xffA\xff000000000000_a00000000", id="underscore"),
        pytest.param(b"\xffA\xff2000000000000000000000", id="session of 54 bits"),
        pytest.param(b"\xffA\xffB\xff0000000000000a00000000", id="three marks"),
        pytest.param(b"\xff\xc3\xff0000000000000a00000000", id="topic is not UTF-8"),
    ],
)
def test_other_bytes_are_no_ready_topic(raw: bytes) -> None:
    assert parse_ready_topic(raw) is None


@given(TOPICS, TOPICS, SESSIONS)
def test_a_ready_topic_sorts_behind_every_event_topic(
    topic: str, ready: str, session: int
) -> None:
    assert topic_prefix(topic) < ready_topic(ready, session)


@given(TOPICS, SESSIONS, SESSIONS, SEQUENCES)
def test_a_ready_answer_is_decoded_as_it_was_encoded(
    topic: str, subscriber: int, session: int, next_sequence: int
) -> None:
    frame = encode_ready_reply(
        topic, subscriber, "10.0.0.1:5556", session, next_sequence
    )

    assert frame.startswith(ready_topic(topic, subscriber) + b"\0")
    assert decode_ready_reply(frame) == (
        topic,
        Event("10.0.0.1:5556", session, next_sequence, 0, b""),
    )


@given(TOPICS, SESSIONS)
def test_a_ready_answer_is_not_an_event(topic: str, session: int) -> None:
    with pytest.raises(ProtocolError):
        decode_event(encode_ready_reply(topic, session, "p", 1, 2))


def test_an_event_is_not_a_ready_answer() -> None:
    assert decode_ready_reply(encode_event("A", "p", 1, 2, 3, b"")) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_ready_answer_or_none_or_a_protocol_error(data: bytes) -> None:
    assert data.startswith(b"\xff") or decode_ready_reply(data) is None
    try:
        answer = decode_ready_reply(b"\xff" + data)
    except ProtocolError:
        return
    assert answer is not None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x95", id="cut off"),
        pytest.param(b"\x95\xa1\xff\0\0\0\xc4\0", id="publisher is not UTF-8"),
        pytest.param(b"\x95\xa1p\0\xff\0\xc4\0", id="sequence is negative"),
    ],
)
def test_a_ready_answer_with_a_broken_body_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_ready_reply(ready_topic("A", 1) + b"\0\1" + body)


def test_a_ready_answer_with_a_broken_topic_is_a_protocol_error() -> None:
    body = msgspec.msgpack.encode(("p", 1, 2, 0, b""))

    with pytest.raises(ProtocolError, match="ready topic"):
        decode_ready_reply(b"\xffA\xffnot-a-session\0" + body)
