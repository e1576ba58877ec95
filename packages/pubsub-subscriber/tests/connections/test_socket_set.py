"""The set of a subscriber's sockets: what the receiving thread sees of its changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from pubsub_common.net.contexts import new_context
from pubsub_common.queue_bounds import QueueBounds
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context = new_context()
    yield context
    context.term()


def test_a_change_is_seen_and_told(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    told: list[object] = []
    sockets = SocketSet()

    class Receiving:
        def wake(self) -> None:
            told.append(sockets.open)

    sockets.receiving = Receiving()
    first, second = (SubSocket(context, ["A"], 5, QueueBounds(10)) for _ in range(2))

    sockets.add(7, first)
    sockets.add(8, second)
    sockets.retire(7)
    sockets.retire(7)  # again: nothing more

    assert told == [(first,), (first, second), (second,), (second,)]
    assert (sockets.get(7), sockets.get(8)) == (None, second)
    assert sockets.open_keys() == {8}
    assert sockets.retired == (first,)
    sockets.close_all()
    sockets.forget(first)
    assert not sockets.retired
    assert first.socket.closed
    assert second.socket.closed


def test_what_is_gone_through_does_not_change(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    sockets = SocketSet()
    for number in range(3):
        sockets.add(number, SubSocket(context, ["A"], 5, QueueBounds(10)))

    seen = 0
    for number, _ in enumerate(sockets.open):
        sockets.retire(number)
        seen += 1

    assert seen == 3
    assert sockets.open == ()
    sockets.close_all()
