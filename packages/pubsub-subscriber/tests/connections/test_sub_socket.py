"""One SUB socket with its topics and connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq
from support.ports import unused_port
from support.raw_sockets import RawPublisher

from pubsub_common.protocol.events import (
    ATTEMPTS,
    decode_event,
    ready_topic,
    topic_prefix,
)
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security import lost_connections
from pubsub_common.testing import wait_for
from pubsub_subscriber.connections.interrupter import is_interrupt
from pubsub_subscriber.connections.sub_socket import SubSocket

NewPublisher = Callable[..., RawPublisher]
NewSubSocket = Callable[..., SubSocket]


@pytest.fixture
def new_sub_socket(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[NewSubSocket]:
    """Makes sockets of subscriber session 5, and closes them after the test."""
    opened: list[SubSocket] = []

    def make(*topics: str, queue_limit: int = 1000) -> SubSocket:
        sub_socket = SubSocket(context, topics, 5, QueueBounds(queue_limit))
        opened.append(sub_socket)
        return sub_socket

    yield make
    for sub_socket in opened:
        sub_socket.close(0)


def receive(sub_socket: SubSocket) -> bytes:
    """The next frame."""
    found: list[bytes] = []

    def look() -> bool:
        with sub_socket.lock:
            frame = sub_socket.receive()
        if frame is not None:
            found.append(frame)
        return bool(found)

    wait_for(look, "a frame")
    return found[0]


def test_a_publisher_learns_of_each_topic_and_then_of_its_ready_topic(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")

    new_sub_socket("B", "A").connect(publisher.address)

    assert [publisher.next_subscription() for _ in range(4)] == [
        (True, b"A\0"),
        (True, b"B\0"),
        (True, ready_topic("A", 5)),
        (True, ready_topic("B", 5)),
    ]


def test_only_the_topic_itself_is_received(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "AB")
    sub_socket = new_sub_socket("A")
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()

    publisher.publish("AB", b"not for us")
    publisher.publish("A", b"for us")

    assert decode_event(receive(sub_socket)).payload == b"for us"


def test_several_publishers_feed_one_socket(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publishers = [new_publisher("A") for _ in range(3)]
    sub_socket = new_sub_socket("A")
    for publisher in publishers:
        sub_socket.connect(publisher.address)
        publisher.wait_for_ready()
        publisher.publish("A")

    sessions = {decode_event(receive(sub_socket)).session for _ in publishers}

    assert sessions == {1, 2, 3}


def test_connecting_twice_does_not_receive_twice(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    sub_socket = new_sub_socket("A")
    sub_socket.connect(publisher.address)
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()

    publisher.publish("A", b"first")
    publisher.publish("A", b"second")

    payloads = [decode_event(receive(sub_socket)).payload for _ in range(2)]
    assert payloads == [b"first", b"second"]


def test_after_disconnecting_nothing_is_received(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher("A"), new_publisher("A")
    sub_socket = new_sub_socket("A")
    for publisher in (first, second):
        sub_socket.connect(publisher.address)
        publisher.wait_for_ready()

    sub_socket.disconnect(first.address)
    first.wait_until_gone(sub_socket.receive)
    first.publish("A")
    second.publish("A")

    assert decode_event(receive(sub_socket)).session == second.session


def test_disconnecting_from_where_it_is_not_connected_does_nothing(
    new_sub_socket: NewSubSocket,
) -> None:
    sub_socket = new_sub_socket("A")

    sub_socket.disconnect("127.0.0.1:9")
    sub_socket.disconnect("127.0.0.1:9")


def test_it_can_connect_again(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    sub_socket = new_sub_socket("A")
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()
    sub_socket.disconnect(publisher.address)
    publisher.wait_until_gone(sub_socket.receive)

    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()
    publisher.publish("A", b"again")

    assert decode_event(receive(sub_socket)).payload == b"again"


def test_a_publisher_that_comes_later_is_found(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    sub_socket = new_sub_socket("A")
    with unused_port() as port:
        sub_socket.connect(f"127.0.0.1:{port}")
        publisher = new_publisher("A", port=port)
    publisher.wait_for_ready()
    publisher.publish("A", b"late")

    assert decode_event(receive(sub_socket)).payload == b"late"


@pytest.mark.parametrize("change", ["connect", "disconnect"])
def test_a_change_of_connections_says_when_the_receiver_must_be_woken(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher, change: str
) -> None:
    """It may have swallowed the news of a message."""
    publisher = new_publisher("A")
    sub_socket = new_sub_socket("A")
    assert sub_socket.connect(publisher.address) is False
    publisher.wait_for_ready()
    publisher.publish("A")
    with sub_socket.lock:
        assert sub_socket.socket.poll(30_000)

    assert getattr(sub_socket, change)("127.0.0.1:9") is True


def test_asking_again_is_another_question_that_is_there_before_the_old_one_ends(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")
    sub_socket = new_sub_socket("A", "B")
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready(2)

    assert sub_socket.repeat_ready_requests(["A", "B"]) is False

    assert [publisher.next_subscription() for _ in range(4)] == [
        (True, ready_topic("A", 5, 0, 1)),
        (False, ready_topic("A", 5)),
        (True, ready_topic("B", 5, 0, 1)),
        (False, ready_topic("B", 5)),
    ]


def test_what_was_asked_when_all_topics_were_here_is_asked_anew_when_they_are_not(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")
    sub_socket = new_sub_socket("A", "B")
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready(2)

    sub_socket.remove(["B"])
    sub_socket.add(["A"], total_topics=2)
    sub_socket.add(["A"], total_topics=2)
    sub_socket.add(["C"], total_topics=3)

    assert [publisher.next_subscription() for _ in range(6)] == [
        (False, ready_topic("B", 5)),
        (False, topic_prefix("B")),
        (True, ready_topic("A", 5, 2, 1)),
        (False, ready_topic("A", 5)),
        (True, topic_prefix("C")),
        (True, ready_topic("C", 5, 3)),
    ]


def test_attempts_are_counted_around(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    sub_socket = new_sub_socket("A")
    for _ in range(ATTEMPTS):
        sub_socket.repeat_ready_requests(["A"])

    assert sub_socket.topics == {"A"}
    publisher = new_publisher("A")
    sub_socket.connect(publisher.address)
    while (found := publisher.next_subscription()[1]) == topic_prefix("A"):
        pass
    assert found == ready_topic("A", 5)


def test_who_waits_can_be_interrupted_after_it_was_asked_again(
    new_sub_socket: NewSubSocket,
) -> None:
    sub_socket = new_sub_socket("A")
    assert sub_socket.enable_interrupt()
    stale = sub_socket.interrupt_message

    sub_socket.repeat_ready_requests(["A"])
    assert sub_socket.interrupt_message != stale
    # One that another thread sends too late is made up for.
    with sub_socket.lock:
        assert sub_socket.socket.poll(30_000)
        assert is_interrupt(sub_socket.socket.recv())
    sub_socket.interrupt()
    with sub_socket.lock:
        assert sub_socket.socket.poll(30_000)
        assert is_interrupt(sub_socket.socket.recv())


def test_asking_again_loses_no_event_and_says_when_one_has_come(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    sub_socket = new_sub_socket("A")
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()
    publisher.publish("A", b"first")
    with sub_socket.lock:
        assert sub_socket.socket.poll(30_000)

    assert sub_socket.repeat_ready_requests(sub_socket.topics) is True
    publisher.publish("A", b"second")

    payloads = [decode_event(receive(sub_socket)).payload for _ in range(2)]
    assert payloads == [b"first", b"second"]


def test_a_small_queue_limit_does_not_cost_subscriptions(
    new_sub_socket: NewSubSocket, new_publisher: NewPublisher
) -> None:
    topics = [f"topic {number}" for number in range(200)]
    publisher = new_publisher(*topics)

    new_sub_socket(*topics, queue_limit=1).connect(publisher.address)

    asked = publisher.wait_for_ready(200)
    assert {topic for topic, _ in asked} == set(topics)


def test_the_queue_limit_holds_for_events(new_sub_socket: NewSubSocket) -> None:
    assert new_sub_socket("A", queue_limit=7).socket.rcvhwm == 7


def test_a_message_that_is_too_long_costs_the_connection_which_is_made_again(
    context: zmq.Context[zmq.Socket[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("LOOK_EVERY_S", "_LOOK_AGAIN_S"):
        monkeypatch.setattr(lost_connections, name, 0.01)
    publisher = context.socket(zmq.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    bounds = QueueBounds(payload_bytes=1000)
    sub_socket = SubSocket(context, ["A"], 5, bounds)
    try:
        sub_socket.connect(f"127.0.0.1:{port}")
        while publisher.recv() != b"\x01A\0":
            pass
        publisher.send(b"A\0" + bytes(bounds.frame_bytes))
        while publisher.recv()[:1] != b"\0":  # it is gone
            pass

        wait_for(lambda: sub_socket.check() and caplog.messages, "a line")

        assert "--max-payload" in caplog.text
        while publisher.recv() != b"\x01A\0":  # it is there again
            pass
    finally:
        sub_socket.close(0)
        publisher.close(linger=0)
