"""The clients that a publisher admits."""

from __future__ import annotations

from pubsub_common.protocol.messages import Vouched
from pubsub_publisher.security.grants import Grants


def test_at_first_nobody_but_the_broker() -> None:
    grants = Grants("broker")

    assert grants.may_connect("broker", "10.0.0.1")
    assert grants.may_receive("broker", "anything")
    assert not grants.may_connect("alice")
    assert not grants.may_receive("alice", "A")


def test_those_the_broker_vouches_for_have_their_topics() -> None:
    grants = Grants("broker")

    assert (
        grants.update([Vouched(key="alice", topics=["a/+"]), Vouched(key="bob")])
        == set()
    )

    assert grants.may_connect("alice")
    assert grants.may_receive("alice", "a/b")
    assert not grants.may_receive("alice", "a")
    assert grants.may_receive("bob", "a")


def test_an_update_returns_the_keys_that_are_gone_or_changed() -> None:
    grants = Grants("broker")
    grants.update(
        [Vouched(key="a"), Vouched(key="b", topics=["x"]), Vouched(key="c", topics=[])]
    )

    changed = grants.update(
        [
            Vouched(key="b", topics=["x", "y"]),
            Vouched(key="c", topics=[]),
            Vouched(key="d"),
        ]
    )

    assert changed == {"a", "b"}
    assert not grants.may_connect("a")
    assert grants.may_connect("c")
    assert grants.may_connect("broker")
