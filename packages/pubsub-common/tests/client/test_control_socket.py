"""The socket of a control connection, against a bare ROUTER socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import StatusRequest
from pubsub_common.testing import wait_for


@pytest.fixture
def router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.bind("tcp://127.0.0.1:*")
    return router


@pytest.fixture
def control(
    context: zmq.Context[zmq.Socket[bytes]], router: zmq.Socket[bytes]
) -> Iterator[ControlSocket]:
    endpoint = router.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    control = ControlSocket(context, endpoint.decode(), None)
    control.connect()
    wait_for(control.connected, "the connection")
    yield control
    control.close()


def test_a_new_connection_is_news_only_for_a_caller_that_had_none(
    control: ControlSocket,
) -> None:
    assert control.changed(connected=False)
    assert not control.changed(connected=True)


def test_a_reply_that_waits_is_news(
    control: ControlSocket, router: zmq.Socket[bytes]
) -> None:
    assert control.send(StatusRequest(id=1))
    peer, _ = router.recv_multipart()
    router.send_multipart([peer, messages.encode(messages.Disconnected(id=1))])
    wait_for(lambda: control.changed(connected=True), "the reply")
    assert control.receive() is not None
    assert not control.changed(connected=True)


def test_the_end_of_a_connection_is_news_after_a_receive_has_taken_it_in(
    control: ControlSocket, router: zmq.Socket[bytes]
) -> None:
    router.close()

    def taken_in() -> bool:
        assert control.receive() is None  # an operation that takes in what libzmq knows
        return not control.connected()

    wait_for(taken_in, "the end of the connection")
    assert control.changed(connected=True)
    assert not control.changed(connected=False)
