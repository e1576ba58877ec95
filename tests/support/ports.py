"""Ports without a race: bound where they are chosen."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Iterator
from typing import Final

import zmq

from pubsub_common.testing.conformance.bound_socket import reserved_port

# Far more than a test asks for.
_KEPT: Final[deque[socket.socket]] = deque(maxlen=64)


def bound_port(bound: zmq.Socket[bytes]) -> int:
    """The port that a ZeroMQ socket is bound to."""
    return int(bound.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """A port at which nothing listens. Only a socket that asks for this port gets it
    meanwhile, if it allows the reuse of an address, like those of ZeroMQ."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def free_port(address: str = "127.0.0.1") -> int:
    """A reserved port, for cases in which the port must be known before anything
    listens.

    A socket stays bound to it, so the kernel gives it to no other socket that asks for
    any port. It does not listen, and allows the reuse of its address: a role that asks
    for this very port gets it, and until then connections are refused.
    """
    if len(_KEPT) == _KEPT.maxlen:
        _KEPT.popleft().close()
    keeper = reserved_port(address)
    _KEPT.append(keeper)
    port: int = keeper.getsockname()[1]
    return port
