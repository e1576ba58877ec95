from __future__ import annotations

import pytest

from pubsub_common.protocol.events import ReadyRequest, ready_topic
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    position_prefix,
    recovery_topic,
)
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.subscription_checks import (
    Position,
    Subscription,
    read_subscription,
    subscription_check,
)

QUESTION = RecoveryRequest("A", 7, 8, 0, 9, 1)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"A\0", "A"),
        ("température\0".encode(), "température"),
        (ready_topic("A", 8, 2, 1), ReadyRequest("A", 8, 2, 1)),
        (recovery_topic(QUESTION), QUESTION),
        (position_prefix("A"), Position("A")),
    ],
)
def test_each_kind_is_read(raw: bytes, what: Subscription) -> None:
    assert read_subscription(raw) == what


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"\0", b"A", b"A\0B", b"A\0\0", b"\xffA\xff", b"\xfdA", b"a\n\0"),
        ready_topic("A", 10).upper(),
        ready_topic("A", 8)[:-1],
    ],
)
def test_anything_else_is_a_failure(raw: bytes) -> None:
    with pytest.raises(Failed, match="subscriptions to a topic"):
        read_subscription(raw)


@pytest.mark.parametrize(
    "what",
    [
        "B",
        ReadyRequest("A", 9, 0, 0),
        ReadyRequest("A", 8, 3, 0),
        ReadyRequest("B", 8, 0, 0),
        QUESTION._replace(subscriber=9),
    ],
)
def test_what_is_not_its_own_is_a_failure(what: Subscription) -> None:
    check = subscription_check({"A"}, lambda: 8, (0,))
    check("A")
    with pytest.raises(Failed):
        check(what)


def test_the_ready_topic_comes_after_the_topic() -> None:
    check = subscription_check({"A"}, lambda: 8, (0,))
    with pytest.raises(Failed, match="before that"):
        check(ReadyRequest("A", 8, 0, 0))
    check("A")
    check(ReadyRequest("A", 8, 0, 0))
