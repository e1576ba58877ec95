"""A socket for each port of the broker, with the topics of that port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pubsub_common.net.contexts import new_context
from pubsub_common.queue_bounds import QueueBounds
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.connections.via_broker import BrokerConnections


class Bench:
    """Connections to ports where nobody listens."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.sockets = SocketSet()
        self.context = new_context()
        self.connections = BrokerConnections(
            self.sockets,
            lambda topics: SubSocket(self.context, topics, 5, QueueBounds(10)),
            lambda: self.host,
        )

    def listen(self, **ports: int) -> dict[int, list[str]]:
        """Listen to these ports, by topic. The topics of each socket then."""
        self.connections.listen(ports, len(ports))
        found = {port: self.sockets.get(port) for port in self.sockets.numbers()}
        return {
            port: sorted(sub_socket.topics)
            for port, sub_socket in found.items()
            if sub_socket is not None
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.sockets.close_all()
    bench.context.term()


def test_each_port_has_a_socket_with_its_topics_alone(bench: Bench) -> None:
    assert bench.listen(a=1, b=2, c=1) == {1: ["a", "c"], 2: ["b"]}


def test_a_topic_that_moved_to_another_port_comes_from_there_alone(
    bench: Bench,
) -> None:
    bench.listen(a=1, b=2)
    first = bench.sockets.get(1)

    assert bench.listen(a=2, b=1) == {1: ["b"], 2: ["a"]}
    assert bench.sockets.get(1) is first


def test_a_port_without_topics_is_given_up(bench: Bench) -> None:
    bench.listen(a=1, b=2)

    assert bench.listen(a=1, b=1) == {1: ["a", "b"]}
    assert len(bench.sockets.retired) == 1


def test_a_broker_that_has_moved_is_listened_to_where_it_is(bench: Bench) -> None:
    bench.listen(A=1, B=1, C=2)
    before = {port: bench.sockets.get(port) for port in (1, 2)}
    assert bench.listen(A=1, B=1, C=2) == {1: ["A", "B"], 2: ["C"]}
    assert {port: bench.sockets.get(port) for port in (1, 2)} == before

    bench.host = "127.0.0.2"

    assert bench.listen(A=1, B=1, C=2) == {1: ["A", "B"], 2: ["C"]}
    for port in (1, 2):
        assert bench.sockets.get(port) not in (None, before[port])
    assert set(before.values()) <= set(bench.sockets.retired)
