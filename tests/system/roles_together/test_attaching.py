"""The publishers to which a centralized broker without a group is attached."""

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

LEASE_S = 1.0

RunBroker = Callable[..., RunningBroker]
NewPublisher = Callable[..., Publisher]


@pytest.fixture
def model() -> Model:
    return "centralized"


def attached(broker: RunningBroker) -> int:
    """The number of attached publishers."""
    parts = broker.broker._runtime.parts
    assert parts is not None
    pool: ForwarderPool = parts.forwarder_pool
    return len(pool._publishers.addresses())


def test_a_broker_that_is_alone_is_attached_to_all_publishers(
    run_broker: RunBroker, new_publisher: NewPublisher
) -> None:
    """It also has subscribers that are not registered."""
    broker = run_broker(lease_s=LEASE_S)
    publishers = [new_publisher(broker.port, topic) for topic in "ABC"]
    wait_for(lambda: attached(broker) == 3, "the publishers")
    publishers[0].disconnect()
    wait_for(lambda: attached(broker) == 2, "its end")


def test_a_subscriber_that_is_stopped_for_longer_than_its_lease_misses_nothing(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    security: Security | None,
    tmp_path: Path,
) -> None:
    """Its connection is open, and its subscriptions stay."""
    broker = run_broker(lease_s=LEASE_S)
    words = () if security is None else security.words["pubsub-subscriber"]
    where = ("-b", "127.0.0.1", "--broker-port", broker.port, *words)
    stopped = Program(tmp_path, "pubsub-subscriber", *where, "-t", "A", "--raw")
    try:
        wait_for(lambda: registered(broker.port, "subscriber"), "the subscriber")
        publisher = new_publisher(broker.port, "A")
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"before")
        wait_for(lambda: stopped.out == "before\n", "the earlier events")

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
