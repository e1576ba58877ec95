"""A socket for each publisher, and publishers for which there is none."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator

import pytest
import zmq

from pubsub_common.net.contexts import new_context
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.keys import new_key_pair
from pubsub_subscriber.connections.direct import (
    SecureDirectConnections,
)
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket

KEY = new_key_pair().public


def info(session: int) -> PublisherInfo:
    address = f"127.0.0.1:{session}"
    return PublisherInfo(session=session, topics=["A"], address=address, key=KEY)


class Bench:
    """Connections in a context that has room for two sockets more than it has now: not for one
    publisher, which takes three."""

    def __init__(self) -> None:
        self.sockets = SocketSet()
        self.left: set[int] = set()
        self._context = new_context(2)
        self.connections = SecureDirectConnections(
            self.sockets,
            self._new_sub_socket,
            new_key_pair(),
            self.left.__contains__,
            NamedEndpoints(frozenset),
        )

    def _new_sub_socket(self, topics: Iterable[str]) -> SubSocket:
        return SubSocket(self._context, topics, 5, QueueBounds(10))

    def make_room(self) -> None:
        """As if another program had ended."""
        self.close()
        self._context = new_context()

    def close(self) -> None:
        self.sockets.close_all()
        self.sockets.retired = ()
        self._context.term()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_a_publisher_without_a_socket_is_connected_when_there_is_one(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for session in (1, 2):
        bench.connections.connect(info(session))
    assert bench.connections.check() is not None  # it looks again
    assert bench.connections.socket_for(1, "A") is None
    assert not bench.sockets.open

    bench.make_room()
    bench.connections.check()

    assert bench.connections.socket_for(1, "A") is not None
    assert bench.connections.socket_for(2, "A") is not None
    assert len(bench.sockets.open) == 2
    assert len(caplog.messages) == 1


def test_a_publisher_that_left_before_there_was_a_socket_is_not_connected(
    bench: Bench,
) -> None:
    for session in (1, 2):
        bench.connections.connect(info(session))
    bench.left.add(1)
    bench.connections.disconnect(info(2), address_in_use=False)

    bench.make_room()

    assert bench.connections.check() is None
    assert not bench.sockets.open


def test_other_errors_are_raised(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_topics: Iterable[str]) -> SubSocket:
        raise zmq.ZMQError(errno.EFAULT)

    monkeypatch.setattr(bench.connections, "_new_sub_socket", broken)

    with pytest.raises(zmq.ZMQError):
        bench.connections.connect(info(1))
