"""The sender that a message names, in any encoding."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.forwarding.sender_check import HEAD_BYTES, SenderCheck
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    SESSION_BITS,
    encode_event,
    encode_ready_reply,
)
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
)

ADDRESS = "255.255.255.255:65535"
sessions = st.integers(0, 2**SESSION_BITS - 1)
topics = st.sampled_from(["A", "x" * 255, "\u20ac" * 85])


def begins(sender_check: SenderCheck, head: bytes) -> bool:
    """Like `PublisherConnection.is_genuine`, for each message."""
    return head.startswith(sender_check.known_heads, head.find(b"\0") + 1)


def frames(topic: str, session: int, address: str = ADDRESS) -> list[bytes]:
    """All frames of a publisher."""
    question = RecoveryRequest(topic, session, 2**53 - 1, 1, 2**53 - 1, 9)
    return [
        encode_event(topic, address, session, 2**52, 1, b"payload"),
        batch_prefix(topic)
        + encode_batch_body(address, session, 0, [1, 2], [b"", b"x"]),
        encode_ready_reply(topic, 2**53 - 1, address, session, 0, 7),
        encode_position(topic, address, session, 5),
        encode_recovery_reply(question, address, 1, [1], [b"x"]),
        encode_recovery_reply(question, address, 1, [], []),
    ]


@given(topics, sessions)
def test_its_own_messages_are_known_by_their_beginning(
    topic: str, session: int
) -> None:
    sender_check = SenderCheck(ADDRESS, session)

    for frame in frames(topic, session):
        assert begins(sender_check, frame[:HEAD_BYTES])
        assert sender_check.accepts(frame)


@given(topics, sessions, sessions)
def test_those_of_others_are_not(topic: str, session: int, other: int) -> None:
    sender_check = SenderCheck(ADDRESS, session)

    for frame in frames(topic, other):
        assert (
            begins(sender_check, frame)
            == sender_check.accepts(frame)
            == (session == other)
        )


def test_other_spellings_are_decoded() -> None:
    sender_check = SenderCheck(ADDRESS, 7)
    array = b"\x95\xa5other" + struct.pack(">BQ", 0xCF, 7) + b"\x00\x00\xc4\x00"
    theirs = array.replace(b"\x07\x00\x00\xc4", b"\x08\x00\x00\xc4")

    assert not begins(sender_check, b"A\0\1" + array)
    assert sender_check.accepts(b"A\0\1" + array)
    assert not sender_check.accepts(b"A\0\1" + theirs)


def test_sessions_of_before_are_its_own_too_but_not_for_ever() -> None:
    sender_check = SenderCheck(ADDRESS, 0)
    for session in range(1, 9):
        sender_check.renew(session)
        sender_check.renew(session)

    assert begins(sender_check, frames("A", 8)[0])
    assert not begins(sender_check, frames("A", 7)[0])
    assert sender_check.accepts(frames("A", 1)[0])
    assert not sender_check.accepts(frames("A", 0)[0])


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\1\x95", b"\0\1\x91\xa1a", b"\0\1\xc1"]
)
def test_a_malformed_message_has_no_sender(body: bytes) -> None:
    sender_check = SenderCheck(ADDRESS, 7)

    assert not begins(sender_check, b"A" + body)
    assert not sender_check.accepts(b"A" + body)


@given(st.binary(max_size=60))
def test_anything_may_come(raw: bytes) -> None:
    sender_check = SenderCheck(ADDRESS, 7)

    assert not begins(sender_check, raw)
    assert not sender_check.accepts(raw) or b"\x07" in raw
