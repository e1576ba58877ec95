"""All published events arrive once, in order, and byte for byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from support.running_roles import WAIT_S, Gaps, Receiver, RunningBroker, status

from pubsub_common.errors import NotReady, RegistrationRefused
from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

RunBroker = Callable[..., RunningBroker]
NewPublisher = Callable[..., Publisher]
NewSubscriber = Callable[..., Subscriber]
Receive = Callable[[Subscriber], Receiver]

# More than any test publishes: under "block" the broker's own queue still drops.
NO_LIMIT = 1_000_000


def test_nothing_published_after_the_wait_for_subscribers_is_lost(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    count = 20_000
    port = run_broker(queue_limit=NO_LIMIT).port
    subscriber = new_subscriber(port, "A", max_event_count=count, queue_limit=NO_LIMIT)
    publisher = new_publisher(port, "A", max_event_count=count, overflow="block")
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = threading.Thread(target=publisher.publish)
    thread.start()

    assert [event.sequence for event in subscriber] == list(range(count))

    thread.join()
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (count, 0, 0)


def test_nothing_published_after_the_wait_until_ready_is_lost(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    publishers = [new_publisher(port, "A", "B") for _ in range(3)]
    for _ in range(10):
        subscriber = new_subscriber(port, "A", "B", max_event_count=6)
        subscriber.wait_until_ready(WAIT_S)
        for publisher in publishers:
            publisher.publish_event("A", b"")
            publisher.publish_event("B", b"")

        received = {(event.session, event.topic) for event in subscriber}

        assert len(received) == 6
        assert subscriber.counts().lost == 0
        subscriber.disconnect()


def test_a_subscriber_is_not_ready_before_a_known_publisher_has_answered(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    publisher = new_publisher(port, "A")
    with publisher._runtime.events.lock:  # so it cannot answer
        subscriber = new_subscriber(port, "A")
        with pytest.raises(NotReady, match="1 replies are missing"):
            subscriber.wait_until_ready(0.2)

    subscriber.wait_until_ready(WAIT_S)


def test_a_topic_is_not_a_prefix(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker().port
    topics = ("A", "AB", "ABC", "B", "é", "ée")
    receivers = {topic: receive(new_subscriber(port, topic)) for topic in topics}
    publisher = new_publisher(port, *topics)
    publisher.wait_for_subscribers(len(topics), WAIT_S)
    for topic in (*topics, *reversed(topics)):
        publisher.publish_event(topic, topic.encode())

    for topic, receiver in receivers.items():
        receiver.wait_for_events(2)
        assert receiver.payloads == [topic.encode()] * 2
        receiver.check_order()


def test_topics_are_published_in_turn_and_each_subscriber_gets_its_own(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    all_, some = (
        new_subscriber(port, "A", "B", "C", max_event_count=9),
        new_subscriber(port, "C", "A", max_event_count=6),
    )
    publisher = new_publisher(port, "A", "B", "C", max_event_count=9)
    publisher.wait_for_subscribers(2, WAIT_S)

    publisher.publish()

    assert [event.topic for event in all_] == list("ABCABCABC")
    assert [event.topic for event in some] == list("ACACAC")


@pytest.mark.parametrize("model", ["centralized"], indirect=True)
def test_several_forwarders_lose_and_repeat_nothing(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    topics = [f"topic {number}" for number in range(8)]
    broker = run_broker(forwarders=2, queue_limit=NO_LIMIT)
    publishers = [
        new_publisher(broker.port, *topics, max_event_count=2000, overflow="block")
        for _ in range(2)
    ]
    subscribers = [
        new_subscriber(broker.port, *topics, queue_limit=NO_LIMIT),
        new_subscriber(broker.port, *topics[:3], queue_limit=NO_LIMIT),
    ]
    for subscriber in subscribers:
        subscriber.wait_until_ready(WAIT_S)
    receivers = [receive(subscriber) for subscriber in subscribers]

    for publisher in publishers:
        publisher.publish()

    receivers[0].wait_for_events(2 * 2000)
    receivers[1].wait_for_events(2 * 2000 * 3 // 8)
    for receiver in receivers:
        receiver.check_order()
    assert len(subscribers[0]._runtime.performer.sockets.open) == 2


@pytest.mark.parametrize("model", ["centralized"], indirect=True)
def test_a_broker_with_a_limit_forwards_exactly_so_many_events(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    broker = run_broker(max_event_count=50, linger_s=WAIT_S)
    publisher = new_publisher(broker.port, "A", max_event_count=150)
    receivers = [receive(new_subscriber(broker.port, "A")) for _ in range(2)]
    publisher.wait_for_subscribers(2, WAIT_S)

    publisher.publish()

    wait_for(lambda: broker.ended, "the end of the broker")
    broker.stop()  # and all accepted events go out
    for receiver in receivers:
        receiver.wait_for_events(50)
        receiver.stop()
        assert [event.sequence for event in receiver.events] == list(range(50))


def test_a_users_data_arrive_byte_for_byte(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    sizes = (0, 1, 31, 32, 255, 256, 65_535, 65_536, 1 << 20)
    payloads = [os.urandom(size) for size in sizes] + [bytes(256), b"\xff\0\xff"]
    port = run_broker().port
    subscriber = new_subscriber(port, "A", max_event_count=len(payloads))
    publisher = new_publisher(port, "A")
    publisher.wait_for_subscribers(1, WAIT_S)

    for payload in payloads:
        publisher.publish_event("A", payload)

    assert [event.payload for event in subscriber] == payloads


def test_a_stalled_subscriber_costs_the_others_nothing(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    gaps = Gaps()
    broker = run_broker(queue_limit=10_000)
    stalled = new_subscriber(broker.port, "A", queue_limit=10, on_gap=gaps.append)
    healthy = receive(new_subscriber(broker.port, "A", queue_limit=NO_LIMIT))
    publisher = new_publisher(broker.port, "A", queue_limit=10_000)
    publisher.wait_for_subscribers(2, WAIT_S)

    for count in range(0, 5000, 50):  # in portions that no working queue drops
        for _ in range(50):
            publisher.publish_event("A", bytes(20_000))
        healthy.wait_for_events(count + 50)

    healthy.check_order()
    assert stalled.receive(WAIT_S) is not None


def test_losses_of_a_slow_subscriber_are_counted_and_named(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    gaps = Gaps()
    port = run_broker(queue_limit=10).port
    subscriber = new_subscriber(port, "A", queue_limit=10, on_gap=gaps.append)
    publisher = new_publisher(port, "A", queue_limit=10)
    publisher.wait_for_subscribers(1, WAIT_S)
    published = 0
    received: list[int] = []

    def some_are_lost() -> bool:
        nonlocal published
        for _ in range(200):
            publisher.publish_event("A", bytes(50_000))
            published += 1
        while (event := subscriber.receive(0)) is not None:
            received.append(event.sequence)
        return bool(gaps)

    wait_for(some_are_lost, "a loss")

    assert received == sorted(set(received))
    counts = subscriber.counts()
    assert counts.received == len(received)
    assert counts.lost == gaps.total
    missing = {n for gap in gaps for n in range(gap.first, gap.last + 1)}
    assert missing == set(range(max(received) + 1)) - set(received)


@pytest.mark.parametrize("model", ["decentralized"], indirect=True)
def test_under_block_a_stalled_subscriber_loses_nothing(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    subscriber = new_subscriber(port, "A", queue_limit=1)
    publisher = new_publisher(
        port, "A", queue_limit=1, overflow="block", payload_bytes=100_000
    )
    publisher.max_event_count = 500
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = threading.Thread(target=publisher.publish)
    thread.start()

    received = [subscriber.receive(WAIT_S) for _ in range(500)]

    thread.join()
    assert [event and event.sequence for event in received] == list(range(500))


# Incompatible clients


def test_a_subscriber_of_the_other_model_is_refused_naming_both(
    run_broker: RunBroker, new_subscriber: NewSubscriber, model: Model
) -> None:
    port = run_broker().port

    with pytest.raises(RegistrationRefused) as caught:
        new_subscriber(port, "A", centralized=model != "centralized")

    assert caught.value.code == "wrong_model"
    assert " centralized" in str(caught.value)
    assert " decentralized" in str(caught.value)
    assert not status(port).clients


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
def test_the_second_client_with_another_clock_is_refused_naming_both(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    first: str,
) -> None:
    port = run_broker().port
    makers: list[Callable[..., object]] = [new_publisher, new_subscriber]
    if first == "subscriber":
        makers.reverse()
    makers[0](port, "A", clock="realtime")

    with pytest.raises(RegistrationRefused) as caught:
        makers[1](port, "A", clock="monotonic")

    assert caught.value.code == "wrong_clock"
    assert "realtime" in str(caught.value)
    assert "monotonic" in str(caught.value)
    makers[1](port, "B", clock="monotonic")  # they have nothing to do with each other
