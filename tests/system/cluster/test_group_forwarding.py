"""Real brokers of a group that forward events: each topic comes from few of them, and
no subscriber misses an event when these change."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.etcd_servers import EtcdCluster, etcd_cluster
from support.running_roles import WAIT_S, Receiver, RunningBroker, Security, status

from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

# Enough that every broker has some, for any hashing.
TOPICS = tuple(f"topic/{number}" for number in range(40))
EVENTS = 20

Start = Callable[[], RunningBroker]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def start(
    request: pytest.FixtureRequest,
    etcd: EtcdCluster,
    stack: contextlib.ExitStack,
    security: Security | None,
) -> Start:
    group = f"group-{abs(hash(request.node.name))}"
    registry = "etcd://" + ",".join(map(str, etcd.endpoints))

    def begin() -> RunningBroker:
        broker = RunningBroker(
            "centralized",
            registry=registry,
            group=group,
            lease_s=2.0,
            secure=None if security is None else security.folder,
        )
        stack.callback(broker.stop)
        return broker

    return begin


class Clients:
    """Publishers and subscribers at brokers of the test's choice."""

    def __init__(self, stack: contextlib.ExitStack, security: Security | None) -> None:
        self._stack = stack
        self._security = security

    def publisher(
        self, broker: RunningBroker, *topics: str, **options: Any
    ) -> Publisher:
        keys = None if self._security is None else self._security.publisher
        publisher = Publisher(
            broker_port=broker.port,
            topics=topics,
            bind_port=0,
            keys=keys,
            connect_timeout_s=WAIT_S,
            **options,
        )
        return self._stack.enter_context(publisher)

    def receiver(self, broker: RunningBroker, *topics: str, **options: Any) -> Receiver:
        keys = None if self._security is None else self._security.subscriber
        subscriber = self._stack.enter_context(
            Subscriber(
                broker_port=broker.port,
                topics=topics,
                keys=keys,
                indefinite=True,
                connect_timeout_s=WAIT_S,
                **options,
            )
        )
        subscriber.wait_until_ready(WAIT_S)
        receiver = Receiver(subscriber)
        self._stack.callback(receiver.stop)
        return receiver


@pytest.fixture
def clients(stack: contextlib.ExitStack, security: Security | None) -> Clients:
    return Clients(stack, security)


def publish(publisher: Publisher, topics: tuple[str, ...], events: int) -> None:
    for number in range(events):
        for topic in topics:
            publisher.publish_event(topic, b"%d" % number)


def places(receiver: Receiver) -> set[str]:
    """The places from which a subscriber receives."""
    sockets = receiver.subscriber._runtime.performer.sockets
    return {str(key) for key in sockets.open_keys()}


def test_whoever_is_at_whichever_broker_hears_all(
    start: Start, clients: Clients
) -> None:
    brokers = [start() for _ in range(3)]
    wait_for(lambda: all(len(status(b.port).brokers) == 3 for b in brokers))
    publishers = [
        clients.publisher(broker, *TOPICS[number::3])
        for number, broker in enumerate(brokers)
    ]
    receivers = [clients.receiver(broker, *TOPICS) for broker in brokers]
    for publisher in publishers:
        publisher.wait_for_subscribers(3, WAIT_S)
    before = [status(broker.port).forwarded for broker in brokers]
    for number, publisher in enumerate(publishers):
        publish(publisher, TOPICS[number::3], EVENTS)

    for receiver in receivers:
        receiver.wait_for_events(EVENTS * len(TOPICS))
        receiver.check_order()
        counted = Counter(event.topic for event in receiver.events)
        assert counted == dict.fromkeys(TOPICS, EVENTS)
        assert len(places(receiver)) == 3
    # Each event went through one broker, which also receives answers of the handshake.
    after = [status(broker.port).forwarded for broker in brokers]
    taken_in = [now - then for now, then in zip(after, before, strict=True)]
    assert all(taken_in)
    assert sum(taken_in) < 2 * EVENTS * len(TOPICS)


def test_the_first_event_reaches_a_subscriber_at_another_broker(
    start: Start, clients: Clients
) -> None:
    brokers = [start() for _ in range(2)]
    receiver = clients.receiver(brokers[0], "news", "other", "#")
    for number in range(10):
        publisher = clients.publisher(brokers[1], "news", "other")
        publisher.publish_event("news", b"%d" % number)
        publisher.publish_event("other", b"%d" % number)
        publisher.disconnect()
    receiver.wait_for_events(20)
    for topic in ("news", "other"):
        payloads = [e.payload for e in receiver.events if e.topic == topic]
        assert payloads == [b"%d" % number for number in range(10)]


def test_nothing_is_lost_when_brokers_come_and_go(
    start: Start, clients: Clients
) -> None:
    """With history and recovery; and without duplicates."""
    brokers = [start() for _ in range(2)]
    publisher = clients.publisher(brokers[0], *TOPICS, history=100_000)
    receiver = clients.receiver(brokers[0], *TOPICS, recover=True)
    publisher.wait_for_subscribers(1, WAIT_S)
    published = 0

    def publish_until(number_of_places: int) -> None:
        nonlocal published

        def there() -> bool:
            nonlocal published
            publish(publisher, TOPICS, 1)
            published += 1
            return len(places(receiver)) == number_of_places

        wait_for(there, f"{number_of_places} places", WAIT_S)

    publish_until(2)
    third = start()
    publish_until(3)
    third.stop()
    publish_until(2)
    publish(publisher, TOPICS, EVENTS)
    published += EVENTS

    receiver.wait_for_events(published * len(TOPICS))
    receiver.check_order(recovers=True)
    assert len(receiver.events) == published * len(TOPICS)
