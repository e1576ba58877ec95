"""Sockets that peers connect to."""

from __future__ import annotations

import socket as sockets
import time
from typing import Final

import zmq

from pubsub_common.defaults import LOOPBACK

# libzmq closes a socket in another thread, so its port is taken for a moment.
_BIND_S: Final = 5.0
_AGAIN_S: Final = 0.005


def bound_socket(
    context: zmq.Context[zmq.Socket[bytes]], kind: int, port: int = 0
) -> tuple[zmq.Socket[bytes], int]:
    """A socket of this kind that is bound to a port of loopback, 0: any; and its port.

    Raises:
        zmq.ZMQError: the port stays taken.
    """
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = 0
    until = time.monotonic() + _BIND_S
    while True:
        try:
            socket.bind(f"tcp://{LOOPBACK}:{port or '*'}")
            break
        except zmq.ZMQError:
            if time.monotonic() >= until:
                socket.close(linger=0)
                raise
            time.sleep(_AGAIN_S)
    endpoint = bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
    return socket, int(endpoint.rpartition(":")[2])


def reserved_port(address: str = LOOPBACK) -> sockets.socket:
    """A socket that keeps its port of an address for sockets that ask for this very port, while
    nothing listens there too. It never listens itself."""
    keeper = sockets.socket()
    keeper.bind((address, 0))
    # After `bind`: two of them must not share a port.
    keeper.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    return keeper
