"""The frames and subscriptions of the local lane."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch, decode_batch_body, encode_batch
from pubsub_common.protocol.events import decode_event, encode_event, event_prefix
from pubsub_common.protocol.frame_length import frame_length
from pubsub_common.protocol.local_lane import (
    REFERENCES,
    ReadsMemory,
    decode_reference,
    encode_reference,
    for_others,
    is_lane_subscription,
    is_narrow,
    narrow_prefixes,
    narrow_subscription,
    parse_lane_subscription,
    reads_subscription,
    reference_head,
)

SESSIONS = st.integers(0, 2**53 - 1)


@given(SESSIONS, SESSIONS, st.lists(SESSIONS, max_size=20))
def test_a_reference_is_read_as_it_was_written(
    session: int, number: int, sizes: list[int]
) -> None:
    frame = encode_reference(reference_head(session), number, sizes)
    found, reference = decode_reference(frame)
    assert (found, reference.number, reference.sizes) == (session, number, sizes)
    assert frame.startswith(REFERENCES)
    assert frame_length(frame + b"more") == len(frame)


@given(st.binary(max_size=40))
def test_other_bytes_are_no_reference(raw: bytes) -> None:
    for frame in (raw, REFERENCES + raw, reference_head(1) + b"\xc1" + raw):
        with pytest.raises(ProtocolError):
            decode_reference(frame)


@given(SESSIONS, SESSIONS)
def test_subscriptions_are_read_as_they_were_written(one: int, other: int) -> None:
    assert parse_lane_subscription(narrow_subscription(one)) == ReadsMemory(one)
    both = reads_subscription(one, other)
    assert parse_lane_subscription(both) == ReadsMemory(one, other)
    assert is_lane_subscription(both)
    assert is_lane_subscription(REFERENCES)
    assert not is_lane_subscription(both[:-1])
    assert not is_lane_subscription(b"A\0")


def test_all_subscriptions_sort_before_topics() -> None:
    """So a new connection sends them first."""
    lane = (REFERENCES, narrow_subscription(1), reads_subscription(1, 2))
    assert max(lane) < min(b" ", *narrow_prefixes("!"))


def test_a_narrow_subscriber_gets_usual_frames_and_not_those_for_others() -> None:
    event = encode_event("A", "127.0.0.1:1", 1, 2, 3, b"x")
    batch = encode_batch(Batch("127.0.0.1:1", 1, 2, 3, [0, 1], [b"x", b"y"], "A"))
    prefixes = narrow_prefixes("A")
    assert all(is_narrow(prefix) for prefix in prefixes)
    at = len(event_prefix("A"))
    for frame in (event, batch):
        assert frame.startswith(prefixes)
        assert not for_others(frame, at).startswith(prefixes)
    assert decode_event(bytes(for_others(event, at))) == decode_event(event)
    same = decode_batch_body(bytes(for_others(batch, at))[at:])
    assert same == decode_batch_body(batch[at:])
