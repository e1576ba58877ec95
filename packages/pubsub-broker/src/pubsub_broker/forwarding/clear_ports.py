"""Free TCP ports of this host."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Final, Protocol

import zmq

from pubsub_common.errors import CannotListen
from pubsub_common.net.addresses import family_of
from pubsub_common.protocol.endpoints import bare

# Another process may take a port between its choice and its use, but rarely so often.
_ATTEMPTS: Final = 20


class Listener(Protocol):
    """Binds to a port, or raises `zmq.ZMQError`."""

    def bind(self, host: str, port: int) -> None: ...


class ClearPorts:
    """Free ports of an IP address, each handed out once."""

    def __init__(self) -> None:
        self.taken: set[int] = set()

    def take(self, host: str) -> int:
        """A free port of ``host`` that was not handed out before."""
        while True:
            with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
                probe.bind((bare(host), 0))
                port: int = probe.getsockname()[1]
            if port not in self.taken:
                self.taken.add(port)
                return port

    def some(self, host: str, count: int) -> Iterator[int]:
        """An iterator over free ports of ``host``, each chosen on demand: ``count``, and some
        more."""
        return (self.take(host) for _ in range(count + _ATTEMPTS))


def bind_next(listener: Listener, host: str, ports: Iterator[int]) -> int:
    """Bind to the next free port of ``ports``; returns it.

    Raises:
        CannotListen: no port was free, or may be bound.
    """
    tried: list[int] = []
    for port in ports:
        tried.append(port)
        try:
            listener.bind(host, port)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EADDRINUSE, errno.EACCES):
                raise
        else:
            return port
    names = ", ".join(map(str, tried)) or "none was left"
    raise CannotListen(f"no free port on {host} to forward events from ({names})")
