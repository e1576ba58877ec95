"""Connections that libzmq has given up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq
from support.ipv6 import needs_ipv6
from support.ports import unused_port

from pubsub_common.net.sockets import bind, connect
from pubsub_common.protocol.endpoints import join
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import (
    ConnectedAddresses,
    LostConnections,
    lost_line,
)
from pubsub_common.security.socket_monitor import SocketMonitor
from pubsub_common.testing import wait_for

# Looks are at most this far apart.
LOOKS = [float(10 * number) for number in range(1, 6)]


def new_lost() -> LostConnections:
    return LostConnections(ConnectedAddresses(fresh_s=0.0))


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as made:
        yield made


@pytest.fixture(params=["127.0.0.1", pytest.param("[::1]", marks=needs_ipv6)])
def publisher(
    request: pytest.FixtureRequest, context: zmq.Context[zmq.Socket[bytes]]
) -> Iterator[str]:
    """The address of a socket that listens."""
    with context.socket(zmq.XPUB) as socket:
        yield join(request.param, bind(socket, f"tcp://{request.param}:*"))


def looked(lost: LostConnections, address: str) -> list[list[str]]:
    return [lost.look([address], now) for now in LOOKS]


def test_an_address_without_a_connection_where_somebody_listens_is_lost(
    publisher: str,
) -> None:
    assert looked(new_lost(), publisher) == [[], [], [], [publisher], []]


def test_an_address_with_a_connection_is_not(
    context: zmq.Context[zmq.Socket[bytes]], publisher: str
) -> None:
    with context.socket(zmq.SUB) as subscriber:
        monitor = SocketMonitor(subscriber, zmq.EVENT_HANDSHAKE_SUCCEEDED)
        connect(subscriber, f"tcp://{publisher}")
        wait_for(monitor.read, "a connection")

        assert looked(new_lost(), publisher) == [[], [], [], [], []]
        monitor.close()


def test_an_address_where_nobody_listens_is_tried_by_libzmq_itself() -> None:
    with unused_port() as port:
        assert looked(new_lost(), f"127.0.0.1:{port}") == [[], [], [], [], []]


class Connected(ConnectedAddresses):
    """These addresses, always."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__()
        self._addresses = frozenset(addresses)

    def __call__(self) -> frozenset[str]:
        return self._addresses


def test_many_connections_are_looked_for_less_often_because_a_look_takes_longer() -> (
    None
):
    for count, pause_s in ((1, 5.0), (100, 10.0), (1000, 15.0)):
        addresses = [f"10.0.0.1:{port}" for port in range(1, count + 1)]
        lost = LostConnections(Connected(addresses))
        lost.look(addresses, 100.0)

        assert lost.look(addresses, 105.0) == []

        assert lost.due_s(105.0) == pause_s


def test_a_missing_one_of_many_is_looked_for_as_soon_as_a_single_one() -> None:
    addresses = [f"10.0.0.1:{port}" for port in range(1, 101)]
    lost = LostConnections(Connected(addresses[1:]))
    lost.look(addresses, 100.0)

    lost.look(addresses, 105.0)

    assert lost.due_s(105.0) == 1.0


def test_it_is_looked_for_now_and_then(publisher: str) -> None:
    lost = new_lost()
    assert lost.look([publisher], 100.0) == []  # it has just begun to connect
    assert lost.due_s(100.0) == 5.0

    lost.look([publisher], 105.0)

    assert lost.due_s(105.0) == 1.0
    assert lost.look([publisher], 105.5) == []
    assert lost.due_s(105.5) == 0.5


def test_the_line_names_the_option() -> None:
    line = lost_line("publisher 10.0.0.1:5", QueueBounds(payload_bytes=1000))

    assert "publisher 10.0.0.1:5 was closed" in line
    assert "1000 bytes" in line
    assert "--max-payload" in line
