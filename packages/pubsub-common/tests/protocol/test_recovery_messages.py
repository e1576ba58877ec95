"""Recovery on the wire: questions, answers, positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.events import encode_body, ready_topic, topic_prefix
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    decode_position,
    decode_recovery_reply,
    encode_position,
    encode_recovery_reply,
    parse_position_prefix,
    parse_recovery_request,
    position_prefix,
    recovery_topic,
)

TOPICS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20
)
SESSIONS = st.integers(0, 2**53 - 1)
QUESTIONS = st.builds(
    lambda topic, publisher, subscriber, first, count, attempt: RecoveryRequest(
        topic, publisher, subscriber, first, first + count, attempt
    ),
    TOPICS,
    SESSIONS,
    SESSIONS,
    st.integers(0, 2**52),
    st.integers(0, 2**52 - 1),
    st.integers(0, 2**16 - 1),
)
EVENTS = st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=20)), max_size=5)
QUESTION = RecoveryRequest("A", 1, 2, 3, 9, 0)


@given(QUESTIONS)
def test_a_question_survives_the_way(question: RecoveryRequest) -> None:
    assert parse_recovery_request(recovery_topic(question)) == question


@given(QUESTIONS, QUESTIONS)
def test_no_question_is_the_beginning_of_another(
    one: RecoveryRequest, other: RecoveryRequest
) -> None:
    # ZeroMQ matches prefixes, so an answer would reach the sender of another request.
    if one != other:
        assert not recovery_topic(one).startswith(recovery_topic(other))


@given(QUESTIONS, TOPICS)
def test_no_private_topic_matches_what_is_meant_for_others(
    question: RecoveryRequest, topic: str
) -> None:
    private = [recovery_topic(question), position_prefix(topic), ready_topic(topic, 1)]
    for one in private:
        for other in (*private, topic_prefix(topic)):
            assert one is other or not one.startswith(other)


@given(QUESTIONS, EVENTS, st.integers(0, 2**51))
def test_an_answer_survives_the_way(
    question: RecoveryRequest, events: list[tuple[int, bytes]], more: int
) -> None:
    number = question.first + more
    stamps_ns, payloads = [each[0] for each in events], [each[1] for each in events]

    frame = encode_recovery_reply(question, "10.0.0.1:1", number, stamps_ns, payloads)

    decoded = decode_recovery_reply(frame)
    assert decoded is not None
    assert decoded[0] == question
    answer = decoded[1]
    assert (answer.topic, answer.session) == (question.topic, question.publisher)
    assert [
        (event.sequence, event.published_ns, event.payload) for event in answer
    ] == [(number + index, *event) for index, event in enumerate(events)]


@given(TOPICS, SESSIONS, st.integers(0, 2**53 - 1))
def test_a_position_survives_the_way(topic: str, session: int, number: int) -> None:
    decoded = decode_position(encode_position(topic, "p", session, number))

    assert decoded is not None
    assert decoded[0] == topic
    assert (decoded[1].session, decoded[1].sequence) == (session, number)
    assert parse_position_prefix(position_prefix(topic)) == topic


@given(
    st.sampled_from([b"", b"\xfd", b"\xfe", b"\xfeA\xfe", b"\xfdA\0"]),
    st.binary(max_size=90),
)
def test_any_bytes_are_something_or_a_protocol_error(start: bytes, rest: bytes) -> None:
    parse_recovery_request(start + rest)
    parse_position_prefix(start + rest)
    for decode in (decode_recovery_reply, decode_position):
        try:
            found = decode(start + rest)
        except ProtocolError:
            continue
        assert found is None or (start + rest)[:1] in b"\xfd\xfe"


@pytest.mark.parametrize(
    "raw",
    [
        recovery_topic(QUESTION._replace(last=10)).upper(),
        recovery_topic(QUESTION)[:-1],
        recovery_topic(QUESTION) + b"0",
        recovery_topic(QUESTION).replace(b"A", b""),
        recovery_topic(QUESTION).replace(b"A", b"\xff"),
        recovery_topic(QUESTION._replace(first=10)),
        recovery_topic(QUESTION._replace(last=2**53)),
        recovery_topic(QUESTION._replace(publisher=2**53)),
        ready_topic("A", 1),
        b"A\0",
    ],
)
def test_an_invalid_question_is_none(raw: bytes) -> None:
    assert parse_recovery_request(raw) is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\xfeA\0", "broken recovery topic"),
        (recovery_topic(QUESTION), "broken recovery topic"),
        (
            recovery_topic(QUESTION) + b"\0\1" + encode_body(("p", 1, 3, 0, b"")),
            "kind of a batch",
        ),
        (recovery_topic(QUESTION) + b"\0\2", "not a batch"),
        (
            recovery_topic(QUESTION) + b"\0\2" + encode_body(("p", 9, 3, 0, [], [])),
            "another question",
        ),
        (
            recovery_topic(QUESTION) + b"\0\2" + encode_body(("p", 1, 2, 0, [], [])),
            "another question",
        ),
        (
            recovery_topic(QUESTION) + b"\0\2" + encode_body(("p", 1, 3, 0, [0], [])),
            "0 payloads, 1 times",
        ),
    ],
)
def test_a_broken_answer_is_a_protocol_error(frame: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode_recovery_reply(frame)


@pytest.mark.parametrize(
    "frame",
    [b"\xfdA", b"\xfd\0\1\x95", b"\xfdA\0\1\x95", b"\xfdA\0\x95", b"\xfd\xff\0"],
)
def test_a_broken_position_is_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_position(frame)
