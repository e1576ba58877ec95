"""How a socket begins to receive references, and frames that are on their way meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq
from support.raw_sockets import RawPublisher

from pubsub_common.protocol.events import encode_event, event_prefix, topic_prefix
from pubsub_common.protocol.local_lane import (
    REFERENCES,
    encode_reference,
    for_others,
    narrow_prefixes,
    narrow_subscription,
    reads_subscription,
    reference_head,
)
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import wait_for
from pubsub_subscriber.connections.local_lane import LocalLane
from pubsub_subscriber.connections.sub_socket import SubSocket

NewPublisher = Callable[..., RawPublisher]
OWN, READ, OTHER = 5, 1, 2
READY = 2  # subscriptions of a wide socket: to the topic, and to its ready topic


class FakeRing:
    """A memory without samples."""

    def look(self, number: int) -> None:
        pass


class Bench:
    """A socket of two publishers; the memory of one of them is open."""

    def __init__(self, sub_socket: SubSocket, new_publisher: NewPublisher) -> None:
        self.socket = sub_socket
        self.lane = LocalLane("place")
        self.lane._rings[READ] = FakeRing()  # type: ignore[assignment]
        self.publishers = {
            session: new_publisher("A", session=session) for session in (READ, OTHER)
        }
        for each in self.publishers.values():
            sub_socket.connect(each.address)
            for _ in range(READY):
                each.next_subscription()

    def subscribe(self, *connected: int) -> float | None:
        return self.lane.subscribe(self.socket, connected or [READ, OTHER])[1]

    def refer(self, session: int) -> None:
        """A publisher tells that it knows of the socket."""
        frame = encode_reference(reference_head(session), 0, ())
        self.publishers[session].socket.send(frame)
        assert self.lane.read(self.receive()) is None

    def receive(self) -> bytes:
        found: list[bytes] = []

        def look() -> bool:
            with self.socket.lock:
                frame = self.socket.receive()
            if frame is not None:
                found.append(frame)
            return bool(found)

        wait_for(look, "a frame")
        return found[0]


@pytest.fixture
def bench(
    context: zmq.Context[zmq.Socket[bytes]], new_publisher: NewPublisher
) -> Iterator[Bench]:
    sub_socket = SubSocket(context, ("A",), OWN, QueueBounds(1000))
    yield Bench(sub_socket, new_publisher)
    sub_socket.close(0)


def test_frames_that_are_on_their_way_in_the_other_form_arrive(bench: Bench) -> None:
    usual = encode_event("A", "p", OTHER, 0, 1, b"x")
    other = bytes(for_others(usual, len(event_prefix("A"))))
    bench.publishers[OTHER].socket.send(other)
    assert bench.subscribe() is not None
    assert bench.receive() == other


def test_all_publishers_know_before_it_receives_the_usual_forms_alone(
    bench: Bench,
) -> None:
    assert bench.subscribe() is not None
    for session in (READ, OTHER):
        publisher = bench.publishers[session]
        assert [publisher.next_subscription() for _ in range(5)] == [
            (True, REFERENCES),
            (True, narrow_subscription(OWN)),
            *((True, prefix) for prefix in narrow_prefixes("A")),
            (True, reads_subscription(OWN, READ)),
        ]
        assert bench.subscribe() is not None
        bench.refer(session)
    assert bench.subscribe() is None
    for publisher in bench.publishers.values():
        assert publisher.next_subscription() == (False, topic_prefix("A"))


def test_one_that_has_left_is_not_waited_for(bench: Bench) -> None:
    assert bench.subscribe() is not None
    for _ in range(5):
        bench.publishers[READ].next_subscription()
    bench.refer(READ)
    bench.lane.forget(OTHER)
    assert bench.subscribe(READ) is None
    assert not bench.socket.subscriptions.wide


def test_one_that_joins_meanwhile_is_waited_for(bench: Bench) -> None:
    assert bench.subscribe(READ) is not None
    for _ in range(5):
        bench.publishers[READ].next_subscription()
    bench.refer(READ)
    assert bench.subscribe(READ, OTHER) is not None
    assert bench.socket.subscriptions.wide
    for _ in range(5):
        bench.publishers[OTHER].next_subscription()
    bench.refer(OTHER)
    assert bench.subscribe(READ, OTHER) is None


def test_topics_come_and_go_in_each_state(bench: Bench) -> None:
    socket, publisher = bench.socket, bench.publishers[READ]

    def subscriptions(count: int) -> set[tuple[bool, bytes]]:
        return {publisher.next_subscription() for _ in range(count)}

    bench.subscribe()
    subscriptions(5)
    socket.add(["B"])
    assert (True, topic_prefix("B")) not in subscriptions(3)
    socket.remove(["A"])
    assert {(False, topic_prefix("A")), (False, narrow_prefixes("A")[0])} < (
        subscriptions(4)
    )
    socket.widen()
    assert (True, topic_prefix("B")) in subscriptions(5)
    socket.remove(["B"])
    assert (False, topic_prefix("B")) in subscriptions(2)


def test_without_memory_references_that_are_on_their_way_still_arrive(
    bench: Bench,
) -> None:
    bench.subscribe()
    publisher = bench.publishers[READ]
    for _ in range(5):
        publisher.next_subscription()
    reference = encode_reference(reference_head(READ), 1, [5])
    publisher.socket.send(reference)
    bench.socket.widen()
    assert bench.receive() == reference
