"""Roles join and leave in any order."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable

import pytest
from support.ports import free_port
from support.running_roles import WAIT_S, Receiver, RunningBroker

from pubsub_common.protocol.messages import Model
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

RunBroker = Callable[..., RunningBroker]
NewPublisher = Callable[..., Publisher]
NewSubscriber = Callable[..., Subscriber]
Receive = Callable[[Subscriber], Receiver]


def test_a_subscriber_that_was_first_receives_all_of_a_later_publisher(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    subscriber = new_subscriber(port, "A", max_event_count=10)
    publisher = new_publisher(port, "A", max_event_count=10)
    publisher.wait_for_subscribers(1, WAIT_S)

    publisher.publish()

    assert [event.sequence for event in subscriber] == list(range(10))


def test_a_publisher_that_was_first_is_received_by_a_later_subscriber(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    publisher = new_publisher(port, "A", max_event_count=10)
    publisher.publish()
    subscriber = new_subscriber(port, "A", max_event_count=10)
    subscriber.wait_until_ready(WAIT_S)

    publisher.publish()

    assert [event.sequence for event in subscriber] == list(range(10, 20))
    assert subscriber.counts().lost == 0, "earlier events are not for it"


def test_clients_that_were_before_the_broker_find_it(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = free_port()
    made: dict[str, Publisher | Subscriber] = {}

    def make_publisher() -> None:
        made["publisher"] = new_publisher(port, "A", max_event_count=10)

    def make_subscriber() -> None:
        made["subscriber"] = new_subscriber(port, "A", max_event_count=10)

    threads = [
        threading.Thread(target=make, daemon=True)
        for make in (make_publisher, make_subscriber)
    ]
    for thread in threads:
        thread.start()

    run_broker(port=port)

    wait_for(lambda: len(made) == 2, "both registrations")
    publisher, subscriber = made["publisher"], made["subscriber"]
    assert isinstance(publisher, Publisher)
    assert isinstance(subscriber, Subscriber)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish()
    assert [event.sequence for event in subscriber] == list(range(10))


def test_the_second_publisher_of_a_port_takes_the_next_one(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    port = run_broker().port
    subscriber = new_subscriber(port, "A", max_event_count=2)
    first = new_publisher(port, "A")
    second = new_publisher(port, "A", bind_port=first.bind_port)
    for publisher in (first, second):
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"")

    assert second.bind_port > first.bind_port
    assert {event.publisher for event in subscriber} == {first.address, second.address}


def test_a_publisher_at_the_address_of_one_that_left_is_received(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker().port
    receiver = receive(new_subscriber(port, "A"))
    bind_port = free_port()
    for count in range(1, 6):
        publisher = new_publisher(port, "A", bind_port=bind_port)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", str(count).encode())
        receiver.wait_for_events(count)
        publisher.disconnect()

    assert receiver.payloads == [b"1", b"2", b"3", b"4", b"5"]
    assert len({event.session for event in receiver.events}) == 5
    receiver.check_order()


def test_the_last_events_of_a_publisher_that_leaves_at_once_arrive(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker().port
    receiver = receive(new_subscriber(port, "A", "B"))
    for round_ in range(1, 6):
        publisher = new_publisher(port, "A", "B", max_event_count=500, linger_s=WAIT_S)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish()
        publisher.disconnect()
        receiver.wait_for_events(500 * round_)

    receiver.check_order()


# Any order


TOPICS = ("A", "AB", "B")


@dataclasses.dataclass
class Listener:
    """A subscriber, and the events that it must have received in the end."""

    receiver: Receiver
    expected: set[bytes] = dataclasses.field(default_factory=set)

    @property
    def topics(self) -> set[str]:
        return set(self.receiver.subscriber.topics)

    def check(self) -> None:
        wait_for(
            lambda: self.expected <= set(self.receiver.payloads),
            "the arrival of all that was published after the wait",
        )
        self.receiver.check_order()


class Crowd:
    """Publishers and subscribers that join, publish and leave at random."""

    def __init__(
        self,
        seed: int,
        port: int,
        new_publisher: NewPublisher,
        new_subscriber: NewSubscriber,
    ) -> None:
        self._random = random.Random(seed)
        self._port = port
        self._new_publisher = new_publisher
        self._new_subscriber = new_subscriber
        self._publishers: list[Publisher] = []
        self._listeners: list[Listener] = []
        self._published = 0

    def step(self) -> None:
        moves: list[Callable[[], None]] = [self.publisher_joins, self.listener_joins]
        if self._publishers:
            moves += [self.publish, self.publish, self.listener_joins_meanwhile]
        if len(self._publishers) > 1:
            moves.append(self.publisher_leaves)
        if len(self._listeners) > 1:
            moves.append(self.listener_leaves)
        self._random.choice(moves)()

    def end(self) -> None:
        self.publish()
        for listener in self._listeners:
            listener.check()
            listener.receiver.stop()

    def _some_topics(self) -> list[str]:
        return self._random.sample(TOPICS, self._random.randint(1, len(TOPICS)))

    def _listeners_of(self, publisher: Publisher) -> list[Listener]:
        return [
            listener
            for listener in self._listeners
            if listener.topics & set(publisher.topics)
        ]

    def publisher_joins(self) -> None:
        self._publishers.append(self._new_publisher(self._port, *self._some_topics()))

    def publisher_leaves(self) -> None:
        index = self._random.randrange(len(self._publishers))
        self._publishers.pop(index).disconnect()

    def listener_joins(self) -> None:
        subscriber = self._new_subscriber(self._port, *self._some_topics())
        self._listeners.append(Listener(Receiver(subscriber)))

    def listener_leaves(self) -> None:
        listener = self._listeners.pop(self._random.randrange(len(self._listeners)))
        listener.check()
        listener.receiver.stop()
        listener.receiver.subscriber.disconnect()
        # From here on `wait_for_subscribers` must not count it any more.
        for publisher in self._publishers:
            self._wait_for_leave(publisher)

    def _wait_for_leave(self, publisher: Publisher) -> None:
        count = len(self._listeners_of(publisher))
        wait_for(lambda: publisher.subscriber_count <= count, "its leave")

    def publish(self) -> None:
        publisher = self._random.choice(self._publishers)
        listeners = self._listeners_of(publisher)
        publisher.wait_for_subscribers(len(listeners), WAIT_S)
        for _ in range(self._random.randint(1, 200)):
            topic = self._random.choice(publisher.topics)
            payload = self._publish_one(publisher, topic)
            for listener in listeners:
                if topic in listener.topics:
                    listener.expected.add(payload)

    def listener_joins_meanwhile(self) -> None:
        """A new subscriber of a flowing stream has no gaps either."""
        publisher = self._random.choice(self._publishers)
        ending = threading.Event()

        def publish_on() -> None:
            while not ending.is_set():
                for topic in publisher.topics:
                    self._publish_one(publisher, topic)

        thread = threading.Thread(target=publish_on)
        thread.start()
        try:
            self.listener_joins()
            publisher.wait_for_subscribers(len(self._listeners_of(publisher)), WAIT_S)
        finally:
            ending.set()
            thread.join()

    def _publish_one(self, publisher: Publisher, topic: str) -> bytes:
        self._published += 1
        payload = f"{self._published}".encode()
        publisher.publish_event(topic, payload)
        return payload


@pytest.mark.parametrize("seed", range(5))
def test_joining_and_leaving_loses_repeats_and_reorders_nothing(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    model: Model,
    seed: int,
) -> None:
    limit = 1_000_000  # a busy machine must not drop events here
    port = run_broker(queue_limit=limit).port
    crowd = Crowd(
        seed,
        port,
        lambda *args: new_publisher(*args, queue_limit=limit, overflow="block"),
        lambda *args: new_subscriber(*args, queue_limit=limit),
    )
    crowd.publisher_joins()

    for _ in range(25):
        crowd.step()

    crowd.end()
