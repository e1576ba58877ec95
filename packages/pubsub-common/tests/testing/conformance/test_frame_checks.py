from __future__ import annotations

import time

import pytest

from pubsub_common.protocol.batches import BATCH_KIND, Batch, encode_batch
from pubsub_common.protocol.events import (
    EVENT_KIND,
    encode_body,
    encode_event,
    encode_ready_reply,
    ready_topic,
)
from pubsub_common.protocol.recovery_messages import (
    REPLY_MAX_EVENTS,
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
)
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.frame_checks import (
    Answer,
    Position,
    Recovered,
    read_sent,
)

NAME, SESSION = "10.0.0.1:5556", 7
QUESTION = RecoveryRequest("A", SESSION, 8, 0, 2000, 0)


def test_each_kind_is_read() -> None:
    now_ns = time.time_ns()
    found = read_sent(encode_event("A", NAME, SESSION, 3, now_ns, b"x"))
    assert isinstance(found, list)
    assert [(each.topic, each.sequence, each.payload) for each in found] == [
        ("A", 3, b"x")
    ]
    batch = Batch(NAME, SESSION, 3, now_ns, [0, 1], [b"x", b"y"], "A")
    found = read_sent(encode_batch(batch))
    assert isinstance(found, list)
    assert [each.sequence for each in found] == [3, 4]
    assert isinstance(read_sent(encode_ready_reply("A", 8, NAME, SESSION, 3)), Answer)
    answer = encode_recovery_reply(QUESTION, NAME, 3, [], [])
    assert isinstance(read_sent(answer), Recovered)
    assert isinstance(read_sent(encode_position("A", NAME, SESSION, 3)), Position)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"A\0" + EVENT_KIND + encode_body((NAME, SESSION, 3, 0, b"x", None)),
        b"A\0" + EVENT_KIND + encode_body((NAME, SESSION, 3, 0, "x")),
        b"A\0" + EVENT_KIND + encode_body(("a b", SESSION, 3, 0, b"x")),
        b"A\0" + BATCH_KIND + encode_body((NAME, SESSION, 3, 0, [0], [b"x"], 1)),
        b"A\0\3" + encode_body((NAME, SESSION, 3, 0, b"x")),
        ready_topic("A", 8)
        + b"\0"
        + EVENT_KIND
        + encode_body((NAME, SESSION, 3, 1, b"")),
        encode_recovery_reply(
            QUESTION,
            NAME,
            3,
            [0] * (REPLY_MAX_EVENTS + 1),
            [b""] * (REPLY_MAX_EVENTS + 1),
        ),
        encode_recovery_reply(QUESTION, NAME, 3, [0, 0], [bytes(200_000)] * 2),
    ],
)
def test_what_is_not_as_the_page_says_is_a_failure(frame: bytes) -> None:
    with pytest.raises(Failed):
        read_sent(frame)
