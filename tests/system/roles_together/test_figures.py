"""The figures that clients report appear in the status: rates and latencies."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support.running_roles import Receiver, RunningBroker, registered

from pubsub_broker.monitoring import status_view
from pubsub_common.protocol.messages import Latency, Status
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

# Of which a heartbeat is a third.
LEASE_S = 0.9

RunBroker = Callable[..., RunningBroker]


@contextmanager
def publishing(publisher: Publisher, *topics: str) -> Iterator[None]:
    """Events without end, on the topics in turn."""
    ended = threading.Event()

    def work() -> None:
        for topic in itertools.cycle(topics):
            publisher.publish_event(topic, b"x")
            if ended.wait(0.002):
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def latency(port: int) -> Latency | None:
    (subscriber,) = registered(port, "subscriber")
    return subscriber.latency


def test_rates_and_latencies_come_and_go_with_the_events(
    run_broker: RunBroker,
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    receive: Callable[[Subscriber], Receiver],
) -> None:
    port = run_broker(lease_s=LEASE_S).port
    publishers = [new_publisher(port, "A", "B", "quiet") for _ in range(2)]
    receiver = receive(new_subscriber(port, "#"))
    for publisher in publishers:
        publisher.wait_for_subscribers(1)

    def rates() -> list[dict[str, float]]:
        return [each.rates or {} for each in registered(port, "publisher")]

    with publishing(publishers[0], "A", "B"), publishing(publishers[1], "A"):
        wait_for(
            lambda: sorted(map(sorted, rates())) == [["A"], ["A", "B"]],
            "publishing rates",
        )
        wait_for(lambda: latency(port), "a latency")
        found = latency(port)
        assert found is not None
        assert 0 < found.p50_ns <= found.p99_ns <= found.max_ns < 30e9
        assert found.count > 0
    assert receiver.events
    wait_for(lambda: rates() == [{}, {}], "an end of the rates")
    wait_for(lambda: latency(port) is None, "an end of the latencies")


def test_a_topic_has_the_rate_of_all_its_publishers(
    run_broker: RunBroker, new_publisher: Callable[..., Publisher]
) -> None:
    """Also without any subscriber, and in a burst of batches."""
    port = run_broker(lease_s=LEASE_S).port
    publishers = [new_publisher(port, "A") for _ in range(2)]
    for publisher in publishers:
        publisher.publish_events([b"x"] * 5000)

    def rate() -> float:
        clients = registered(port, "publisher")
        status = Status(id=1, epoch=1, model="centralized", uptime_s=1, clients=clients)
        (topic,) = status_view.topics_of(status)
        assert topic.publishers == [0, 1]
        return topic.rate or 0.0

    wait_for(lambda: rate() > 0, "a rate")
    wait_for(lambda: rate() == 0, "its end")


def test_batches_have_a_latency_too(
    run_broker: RunBroker,
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
) -> None:
    port = run_broker(lease_s=LEASE_S).port
    publisher = new_publisher(port, "A")
    subscriber = new_subscriber(port, "A")
    publisher.wait_for_subscribers(1)
    publisher.publish_events([b"x"] * 10_000)

    received = 0
    for batch in subscriber.batches():
        received += len(batch)
        if received == 10_000:
            break
    wait_for(lambda: latency(port), "a latency")
