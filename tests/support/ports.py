"""Ports without a race: bound where they are chosen."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import zmq


def bound_port(bound: zmq.Socket[bytes]) -> int:
    """The port that a ZeroMQ socket is bound to."""
    return int(bound.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """A port at which nothing listens. Only a socket that asks for it gets it meanwhile, if
    it allows that an address is used again, as those of ZeroMQ do."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
