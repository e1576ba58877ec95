"""Whom a publisher lets in."""

from __future__ import annotations

from pubsub_common.protocol.messages import Vouched
from pubsub_publisher.security.grants import Trust


def test_at_first_nobody_but_the_broker() -> None:
    trust = Trust("broker")

    assert trust.allows("broker", "10.0.0.1")
    assert trust.permits("broker", "anything")
    assert not trust.allows("alice")
    assert not trust.permits("alice", "A")


def test_those_the_broker_vouches_for_have_their_topics() -> None:
    trust = Trust("broker")

    assert (
        trust.update([Vouched(key="alice", topics=["a/+"]), Vouched(key="bob")])
        == set()
    )

    assert trust.allows("alice")
    assert trust.permits("alice", "a/b")
    assert not trust.permits("alice", "a")
    assert trust.permits("bob", "a")


def test_those_that_are_gone_or_changed_are_told() -> None:
    trust = Trust("broker")
    trust.update(
        [Vouched(key="a"), Vouched(key="b", topics=["x"]), Vouched(key="c", topics=[])]
    )

    changed = trust.update(
        [
            Vouched(key="b", topics=["x", "y"]),
            Vouched(key="c", topics=[]),
            Vouched(key="d"),
        ]
    )

    assert changed == {"a", "b"}
    assert not trust.allows("a")
    assert trust.allows("c")
    assert trust.allows("broker")
