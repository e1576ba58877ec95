"""A socket for each port of the broker, with the topics of that port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pubsub_common.net.contexts import new_context
from pubsub_common.net.named_endpoints import NamedEndpoints
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
            NamedEndpoints(frozenset),
        )

    def listen(self, **ports: int) -> dict[int, list[str]]:
        """Listen to these ports, by topic. The topics of each socket then."""
        self.connections.listen(ports, len(ports))
        return {
            port: sorted(sub_socket.topics)
            for port in set(ports.values())
            if (sub_socket := self.at(port)) is not None
        }

    def at(self, port: int) -> SubSocket | None:
        """The socket of this port of the broker."""
        return self.sockets.get(f"{self.host}:{port}")


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
    first = bench.at(1)

    assert bench.listen(a=2, b=1) == {1: ["b"], 2: ["a"]}
    assert bench.at(1) is first


def test_a_port_without_topics_is_given_up(bench: Bench) -> None:
    bench.listen(a=1, b=2)

    assert bench.listen(a=1, b=1) == {1: ["a", "b"]}
    assert len(bench.sockets.retired) == 1


def test_a_broker_that_has_moved_is_listened_to_where_it_is(bench: Bench) -> None:
    bench.listen(A=1, B=1, C=2)
    before = {port: bench.at(port) for port in (1, 2)}
    assert bench.listen(A=1, B=1, C=2) == {1: ["A", "B"], 2: ["C"]}
    assert {port: bench.at(port) for port in (1, 2)} == before

    bench.host = "127.0.0.2"

    assert bench.listen(A=1, B=1, C=2) == {1: ["A", "B"], 2: ["C"]}
    for port in (1, 2):
        assert bench.at(port) not in (None, before[port])
    assert set(before.values()) <= set(bench.sockets.retired)


def test_a_topic_of_another_broker_comes_from_there(bench: Bench) -> None:
    bench.connections.listen({"a": 1, "b": "127.0.0.2:1", "c": "127.0.0.1:1"}, 3)

    found = {key: bench.sockets.get(key) for key in bench.sockets.open_keys()}
    assert {key: sorted(each.topics) for key, each in found.items() if each} == {
        "127.0.0.1:1": ["a", "c"],
        "127.0.0.2:1": ["b"],
    }
    assert bench.connections.socket_for(0, "b") is found["127.0.0.2:1"]


def test_what_another_broker_still_sent_is_taken_out_of_the_socket_that_is_given_up(
    bench: Bench,
) -> None:
    bench.connections.listen({"a": "127.0.0.9:2"}, 1)
    old = bench.sockets.get("127.0.0.9:2")

    assert bench.listen(a=1) == {1: ["a"]}
    assert bench.sockets.retired == (old,)


def test_what_is_no_address_of_a_broker_is_not_connected_to(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.connections.listen({"a": "no address", "b": 1}, 2)

    assert "cannot connect to a broker: 'no address'" in caplog.text
    assert bench.connections.check() is not None
