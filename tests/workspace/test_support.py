"""What tests share does what they rely on."""

from __future__ import annotations

import socket

import pytest
import zmq
from support.ports import bound_port, free_port


def test_a_free_port_is_for_the_one_that_asks_for_it() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(OSError, match="in use"), socket.socket() as other:
        other.bind(("127.0.0.1", port))
    for _ in range(2):  # also again, after a restart
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.bind(f"tcp://127.0.0.1:{port}")
            socket.create_connection(("127.0.0.1", port)).close()


def test_no_two_free_ports_are_the_same() -> None:
    ports = {free_port() for _ in range(50)}
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        for _ in range(50):
            router.bind("tcp://127.0.0.1:*")
            ports.add(bound_port(router))
    assert len(ports) == 100
