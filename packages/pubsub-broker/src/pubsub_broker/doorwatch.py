"""Handshakes that fail at a port of the broker, and whose they were. Shell.

libzmq tells the address of a connection only by its descriptor, and only before and after
the failure: so what was accepted is remembered, and a failure is that of the connection
that ends next.
"""

from __future__ import annotations

from typing import Final

import zmq

from pubsub_common.security.monitor import Monitor
from pubsub_common.security.peers import connection_at

_EVENTS: Final = (
    zmq.EVENT_ACCEPTED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED
)
GONE: Final = "an address that is gone"
_CRYPTOGRAPHIC: Final = zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
_MISMATCH: Final = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH


def describe(error: int, *, secure: bool) -> str:
    """What a failed handshake means at a port that is ``secure`` or not."""
    if error == _MISMATCH:
        return (
            "turned away: it uses no keys"
            if secure
            else "turned away: it uses keys, and this broker has none (--secure)"
        )
    if error == _CRYPTOGRAPHIC:
        return "turned away: it takes us for a broker with another key"
    return "hung up on: what it sent is not this protocol"


class DoorWatch:
    """Watches one socket that is bound."""

    def __init__(self, socket: zmq.Socket[bytes], *, secure: bool) -> None:
        self._monitor = Monitor(socket, _EVENTS)
        self._secure = secure
        self._addresses: dict[int, str] = {}  # by descriptor
        self._failed: str | None = None
        self.socket = self._monitor.socket

    def failures(self) -> list[tuple[str, str]]:
        """Those since the last call: the IP address, and what happened."""
        found = []
        for event, value in self._monitor.read():
            match event:
                case zmq.EVENT_ACCEPTED:
                    connection = connection_at(value)
                    if connection is not None:
                        self._addresses[value] = connection.remote[0]
                case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                    self._failed = describe(value, secure=self._secure)
                case zmq.EVENT_DISCONNECTED:
                    address = self._addresses.pop(value, GONE)
                    if self._failed is not None:
                        found.append((address, self._failed))
                    self._failed = None
        return found

    def close(self) -> None:
        """Stop watching."""
        self._monitor.close()
