"""A centralized broker is attached to the publishers that its subscribers want, and nobody
notices when that begins and ends."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.running_roles import (
    WAIT_S,
    Program,
    RunningBroker,
    Security,
    registered,
    status,
)

from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

LEASE_S = 1.0

RunBroker = Callable[..., RunningBroker]
NewPublisher = Callable[..., Publisher]
NewSubscriber = Callable[..., Subscriber]


@pytest.fixture
def model() -> Model:
    return "centralized"


def attached(broker: RunningBroker) -> int:
    """To how many publishers."""
    parts = broker.broker._runtime.parts
    assert parts is not None
    pool: ForwarderPool = parts.forwarder_pool
    return len(pool._publishers.addresses())


def test_publishers_are_attached_while_they_are_wanted(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    broker = run_broker(lease_s=LEASE_S)
    publishers = [new_publisher(broker.port, topic) for topic in "ABC"]
    assert attached(broker) == 0

    for _ in range(2):
        subscriber = new_subscriber(broker.port, "A", "B")
        subscriber.wait_until_ready(WAIT_S)
        assert attached(broker) == 2
        for publisher, topic in zip(publishers, "ABC", strict=True):
            publisher.publish_event(topic, b"")
        received = [subscriber.receive(timeout_s=WAIT_S) for _ in range(2)]
        assert {event.topic for event in received if event} == {"A", "B"}
        subscriber.disconnect()
        wait_for(lambda: attached(broker) == 0, "the end of a lease")


def test_a_subscriber_that_is_stopped_for_longer_than_its_lease_misses_nothing(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    security: Security | None,
    tmp_path: Path,
) -> None:
    """Its connection is open, and what it has subscribed to waits there."""
    broker = run_broker(lease_s=LEASE_S)
    words = () if security is None else security.words["pubsub-subscriber"]
    where = ("-b", "127.0.0.1", "--broker-port", broker.port, *words)
    stopped = Program(tmp_path, "pubsub-subscriber", *where, "-t", "A", "--raw")
    try:
        wait_for(lambda: registered(broker.port, "subscriber"), "the subscriber")
        publisher = new_publisher(broker.port, "A")
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"before")
        wait_for(lambda: stopped.out == "before\n", "what was published before")

        stopped.send(signal.SIGSTOP)
        wait_for(lambda: not registered(broker.port, "subscriber"), "its lease's end")
        until = status(broker.port).uptime_s + 4 * LEASE_S
        wait_for(lambda: status(broker.port).uptime_s > until, "some more leases")
        for number in range(10):
            publisher.publish_event("A", b"%d" % number)
        stopped.send(signal.SIGCONT)

        wait_for(lambda: stopped.out.count("\n") == 11, "what it missed")
    finally:
        stopped.kill()
