"""Decisions of a publisher about its local lane."""

from __future__ import annotations

from pubsub_common.protocol.events import event_prefix, ready_topic, topic_prefix
from pubsub_common.protocol.local_lane import (
    REFERENCES,
    narrow_prefixes,
    narrow_subscription,
    reads_subscription,
)
from pubsub_publisher.subscribers.local_subscribers import LocalSubscribers

OWN, OTHER = 5, 6
PREFIX = event_prefix("A")


def begun(*subscriptions: bytes) -> LocalSubscribers:
    local = LocalSubscribers()
    local.use_session(OWN)
    for raw in subscriptions:
        local.receive(raw, begins=True)
    return local


def test_references_need_that_every_narrow_subscriber_reads_this_memory() -> None:
    local = begun(REFERENCES, narrow_subscription(1))
    assert not local.wanted
    local.receive(reads_subscription(1, OTHER), begins=True)
    assert not local.wanted
    local.receive(reads_subscription(1, OWN), begins=True)
    assert local.wanted
    assert local.complete
    assert local.count == 1
    local.receive(narrow_subscription(2), begins=True)
    assert local.wanted
    assert not local.complete
    assert local.arrivals == 4
    local.receive(narrow_subscription(2), begins=False)
    assert local.complete
    assert local.departures == 1
    assert local.arrivals == 4


def test_the_session_may_come_last() -> None:
    local = LocalSubscribers()
    for raw in (narrow_subscription(1), reads_subscription(1, OWN)):
        local.receive(raw, begins=True)
    assert not local.wanted
    local.use_session(OWN)
    assert local.complete


def test_others_are_those_with_the_topic_and_not_the_narrow_forms() -> None:
    narrow = (REFERENCES, narrow_subscription(1), *narrow_prefixes("A"))
    local = begun(*narrow, ready_topic("A", 1), topic_prefix("B"))
    assert not local.wanted_by_others(PREFIX)
    for raw in (topic_prefix("A"), b"", b"A"):
        local.receive(raw, begins=True)
        assert local.wanted_by_others(PREFIX)
        local.receive(raw, begins=False)
        assert not local.wanted_by_others(PREFIX)
