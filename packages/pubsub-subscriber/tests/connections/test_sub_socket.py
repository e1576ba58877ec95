"""One SUB socket with its topics and connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq
from support.subscriber_peers import RawPublisher, free_port, wait_for

from pubsub_common.protocol.events import decode_event, ready_topic
from pubsub_subscriber.connections.sub_socket import Inlet

NewPublisher = Callable[..., RawPublisher]
NewInlet = Callable[..., Inlet]


@pytest.fixture
def new_inlet(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[NewInlet]:
    """Makes inlets of subscriber session 5, and closes them after the test."""
    opened: list[Inlet] = []

    def make(*topics: str, queue_limit: int = 1000) -> Inlet:
        inlet = Inlet(context, topics, 5, queue_limit)
        opened.append(inlet)
        return inlet

    yield make
    for inlet in opened:
        inlet.close(0)


def receive(inlet: Inlet) -> bytes:
    """The next frame."""
    found: list[bytes] = []

    def look() -> bool:
        with inlet.lock:
            frame = inlet.receive()
        if frame is not None:
            found.append(frame)
        return bool(found)

    wait_for(look, "a frame")
    return found[0]


def test_a_publisher_learns_of_each_topic_and_then_of_its_ready_topic(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")

    new_inlet("B", "A").connect(publisher.address)

    assert [publisher.next_subscription() for _ in range(4)] == [
        (True, b"A\0"),
        (True, b"B\0"),
        (True, ready_topic("A", 5)),
        (True, ready_topic("B", 5)),
    ]


def test_only_the_topic_itself_is_received(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "AB")
    inlet = new_inlet("A")
    inlet.connect(publisher.address)
    publisher.wait_for_ready()

    publisher.publish("AB", b"not for us")
    publisher.publish("A", b"for us")

    assert decode_event(receive(inlet)).payload == b"for us"


def test_several_publishers_feed_one_inlet(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publishers = [new_publisher("A") for _ in range(3)]
    inlet = new_inlet("A")
    for publisher in publishers:
        inlet.connect(publisher.address)
        publisher.wait_for_ready()
        publisher.publish("A")

    sessions = {decode_event(receive(inlet)).session for _ in publishers}

    assert sessions == {1, 2, 3}


def test_connecting_twice_does_not_receive_twice(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    inlet = new_inlet("A")
    inlet.connect(publisher.address)
    inlet.connect(publisher.address)
    publisher.wait_for_ready()

    publisher.publish("A", b"first")
    publisher.publish("A", b"second")

    payloads = [decode_event(receive(inlet)).payload for _ in range(2)]
    assert payloads == [b"first", b"second"]


def test_after_disconnecting_nothing_is_received(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher("A"), new_publisher("A")
    inlet = new_inlet("A")
    for publisher in (first, second):
        inlet.connect(publisher.address)
        publisher.wait_for_ready()

    inlet.disconnect(first.address)
    first.wait_until_gone(inlet.receive)
    first.publish("A")
    second.publish("A")

    assert decode_event(receive(inlet)).session == second.session


def test_disconnecting_from_where_it_is_not_connected_does_nothing(
    new_inlet: NewInlet,
) -> None:
    inlet = new_inlet("A")

    inlet.disconnect("127.0.0.1:9")
    inlet.disconnect("127.0.0.1:9")


def test_it_can_connect_again(new_inlet: NewInlet, new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")
    inlet = new_inlet("A")
    inlet.connect(publisher.address)
    publisher.wait_for_ready()
    inlet.disconnect(publisher.address)
    publisher.wait_until_gone(inlet.receive)

    inlet.connect(publisher.address)
    publisher.wait_for_ready()
    publisher.publish("A", b"again")

    assert decode_event(receive(inlet)).payload == b"again"


def test_a_publisher_that_comes_later_is_found(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    port = free_port()
    inlet = new_inlet("A")
    inlet.connect(f"127.0.0.1:{port}")

    publisher = new_publisher("A", port=port)
    publisher.wait_for_ready()
    publisher.publish("A", b"late")

    assert decode_event(receive(inlet)).payload == b"late"


@pytest.mark.parametrize("change", ["connect", "disconnect"])
def test_a_change_of_connections_says_when_the_receiver_must_be_woken(
    new_inlet: NewInlet, new_publisher: NewPublisher, change: str
) -> None:
    """It may have swallowed the news of a message."""
    publisher = new_publisher("A")
    inlet = new_inlet("A")
    assert inlet.connect(publisher.address) is False
    publisher.wait_for_ready()
    publisher.publish("A")
    with inlet.lock:
        assert inlet.socket.poll(30_000)

    assert getattr(inlet, change)("127.0.0.1:9") is True


def test_asking_again_repeats_the_ready_subscriptions_and_no_others(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")
    inlet = new_inlet("A", "B")
    inlet.connect(publisher.address)
    publisher.wait_for_ready(2)

    assert inlet.ask_again() is False

    assert [publisher.next_subscription() for _ in range(4)] == [
        (False, ready_topic("A", 5)),
        (True, ready_topic("A", 5)),
        (False, ready_topic("B", 5)),
        (True, ready_topic("B", 5)),
    ]


def test_asking_again_loses_no_event_and_says_when_one_has_come(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    inlet = new_inlet("A")
    inlet.connect(publisher.address)
    publisher.wait_for_ready()
    publisher.publish("A", b"first")
    with inlet.lock:
        assert inlet.socket.poll(30_000)

    assert inlet.ask_again() is True
    publisher.publish("A", b"second")

    payloads = [decode_event(receive(inlet)).payload for _ in range(2)]
    assert payloads == [b"first", b"second"]


def test_a_small_queue_limit_does_not_cost_subscriptions(
    new_inlet: NewInlet, new_publisher: NewPublisher
) -> None:
    topics = [f"topic {number}" for number in range(200)]
    publisher = new_publisher(*topics)

    new_inlet(*topics, queue_limit=1).connect(publisher.address)

    asked = publisher.wait_for_ready(200)
    assert {topic for topic, _ in asked} == set(topics)


def test_the_queue_limit_holds_for_events(new_inlet: NewInlet) -> None:
    assert new_inlet("A", queue_limit=7).socket.rcvhwm == 7
