"""Clients of different brokers communicate as with one broker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from chaos_group import GroupBroker, GroupSystem

from pubsub_common.protocol.messages import Model
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

from .conftest import NewGroup, size

PUBLISHERS = size(6, 30)
SUBSCRIBERS = size(12, 60)
EVENTS = 10
RACES = size(20, 300)
WAIT_S = 60.0


class Clients:
    """Clients in this process, which end with the test."""

    def __init__(self, stack: contextlib.ExitStack, model: Model) -> None:
        self._stack = stack
        self._centralized = model == "centralized"

    def publisher(self, broker: GroupBroker, *topics: str, **options: Any) -> Publisher:
        """A publisher that has registered at this broker."""
        given = {"bind_port": 0, "connect_timeout_s": WAIT_S} | options
        publisher = Publisher(str(broker), topics, **given)
        self._stack.callback(publisher.disconnect)
        publisher.configure()
        return publisher

    def subscriber(
        self, broker: GroupBroker, *topics: str, **options: Any
    ) -> Subscriber:
        """Like `publisher`."""
        given = {"indefinite": True, "connect_timeout_s": WAIT_S} | options
        given |= {"centralized": self._centralized}
        subscriber = Subscriber(None, str(broker), topics, **given)
        self._stack.callback(subscriber.disconnect)
        subscriber.configure()
        return subscriber


@pytest.fixture
def clients(model: Model) -> Iterator[Clients]:
    with contextlib.ExitStack() as stack:
        yield Clients(stack, model)


@pytest.fixture
def system(new_group: NewGroup) -> GroupSystem:
    """Three brokers, and no clients."""
    system = new_group()
    system.start_broker()
    return system


def at(system: GroupSystem, number: int) -> GroupBroker:
    """The brokers in turn."""
    return system.group[number % len(system.group)]


def test_all_hear_all(system: GroupSystem, clients: Clients) -> None:
    subscribers = [
        clients.subscriber(at(system, number), "t/#") for number in range(SUBSCRIBERS)
    ]
    publishers = [
        clients.publisher(at(system, number), f"t/{number}")
        for number in range(PUBLISHERS)
    ]
    for publisher in publishers:
        publisher.wait_for_subscribers(SUBSCRIBERS, WAIT_S)
    for subscriber in subscribers:
        subscriber.wait_until_ready(WAIT_S)
    for number, publisher in enumerate(publishers):
        for event in range(EVENTS):
            publisher.publish_event(f"t/{number}", b"%d" % event)

    expected = sorted(
        (f"t/{number}", b"%d" % event)
        for number in range(PUBLISHERS)
        for event in range(EVENTS)
    )
    for subscriber in subscribers:
        events = [subscriber.receive(WAIT_S) for _ in expected]
        assert None not in events
        assert sorted((e.topic, bytes(e.payload)) for e in events if e) == expected
    # No subscriber gets an event twice.
    for publisher in publishers:
        publisher.disconnect()
    for subscriber in subscribers:
        assert subscriber.receive(0.01) is None
        assert subscriber.counts().lost == 0


def test_first_events_reach_a_subscriber_that_comes_at_the_same_time(
    system: GroupSystem, clients: Clients
) -> None:
    for race in range(RACES):
        _race(system, clients, race)


def _race(system: GroupSystem, clients: Clients, race: int) -> None:
    topics = [f"race{race}/{number}" for number in range(5)]
    came: list[Subscriber] = []
    joining = threading.Thread(
        target=lambda: came.append(
            clients.subscriber(at(system, race), f"race{race}/#")
        )
    )
    joining.start()
    publisher = clients.publisher(at(system, race + 1), *topics)
    publisher.wait_for_subscribers(1, WAIT_S)
    for topic in topics:
        publisher.publish_event(topic, topic.encode())
    joining.join(WAIT_S)
    (subscriber,) = came

    first = [subscriber.receive(WAIT_S) for _ in topics]
    assert sorted(event.topic for event in first if event) == topics
    assert all(event and event.sequence == 0 for event in first)
    subscriber.disconnect()
    publisher.disconnect()
