"""Monitors the connections of a port, and reports failed handshakes.

libzmq identifies a connection only by its descriptor, and its address is only known
before and after the failure. So accepted connections are remembered, and a failure
belongs to the connection that closes next.

A client without keys may detect first that this port requires keys, and disconnects.
libzmq reports this without details, like a connection without data. At a secure port it
is logged; elsewhere it means nothing.
"""

from __future__ import annotations

from typing import Final

import zmq

from pubsub_common.security.connections import connection_at
from pubsub_common.security.socket_monitor import SocketMonitor

_EVENTS: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_ACCEPT_FAILED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)
# Events that are read before other work gets its turn.
_BURST: Final = 256
_UNKNOWN_ADDRESS: Final = "an unknown address"
_NO_KEY_SENT: Final = (
    "closed before sending a CURVE key (client without keys, or a port scan)"
)
_CRYPTOGRAPHIC: Final = zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
_MISMATCH: Final = zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH


def describe(error: int, *, secure: bool) -> str:
    """The meaning of a failed handshake at a port that is ``secure`` or not."""
    if error == _MISMATCH:
        return (
            "rejected: it uses no keys"
            if secure
            else "rejected: it uses keys, but this broker is not secure (--secure)"
        )
    if error == _CRYPTOGRAPHIC:
        return "rejected: it expects a broker with another key"
    return "disconnected: it does not use this protocol"


class HandshakeMonitor:
    """Watches one socket that is bound."""

    def __init__(self, watched: zmq.Socket[bytes], *, secure: bool) -> None:
        """``secure``: only clients with keys are admitted."""
        events = _EVENTS | (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL if secure else 0)
        self._monitor = SocketMonitor(watched, events)
        self._secure = secure
        self._addresses: dict[int, str] = {}  # by file descriptor
        self._failed: str | None = None
        self.socket = self._monitor.socket
        self.fd = self._monitor.fd
        self.waits = self._monitor.waits

    def read_failures(self, now: float) -> list[tuple[str, str]]:
        """Read the events of connections; returns failed handshakes: an IP address and
        the reason."""
        failures = []
        for event, value in self._monitor.read(_BURST):
            if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._failed = describe(value, secure=self._secure)
                continue
            if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._failed = _NO_KEY_SENT
                continue
            if event == zmq.EVENT_ACCEPT_FAILED:
                self._not_accepted()
                continue
            before = self._addresses.pop(value, None)
            if before is not None:
                self._disconnected(value, before)
            if event == zmq.EVENT_ACCEPTED:
                address = self._address_of(value)
                if address is not None:  # otherwise it is gone already
                    self._addresses[value] = address
                    self._connected(value, address, now)
            elif self._failed is not None:
                failures.append((before or _UNKNOWN_ADDRESS, self._failed))
                self._failed = None
        return failures

    def close(self) -> None:
        """Stop monitoring, before the socket is closed."""
        self._monitor.close()

    def _address_of(self, fd: int) -> str | None:
        """The IP address at the other end of a connection; None if it is closed
        already."""
        connection = connection_at(fd)
        return None if connection is None else connection.remote[0]

    def _connected(self, fd: int, address: str, now: float) -> None:
        """A connection was accepted."""

    def _not_accepted(self) -> None:
        """A connection could not be accepted, mostly because no files are left."""

    def _disconnected(self, fd: int, address: str) -> None:
        """A connection of this address has closed."""
