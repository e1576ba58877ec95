"""Limits what each address may do at the control port, and closes its connections."""

from __future__ import annotations

import logging
from typing import Final

import zmq

from pubsub_broker.limits.address_limiter import AddressLimiter, Verdict
from pubsub_broker.limits.address_limits import LimitKind, Limits
from pubsub_broker.transport.control_socket import ReceivedMessage
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.protocol.messages import Register, Request, StatusRequest
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_at,
)
from pubsub_common.security.handshake_monitor import HandshakeMonitor

_log = logging.getLogger(__name__)

# Shorter ones, except for registrations, take almost no time.
_LARGE_BYTES: Final = 4096


class ConnectionGuard(HandshakeMonitor):
    """Checks messages and connections at a control socket against the limits of their
    address (`group_of`); closes connections that exceed them too often. Belongs to the
    thread of that socket.

    Connections are observed with libzmq's monitor, as silent ones could otherwise take
    all open files.
    """

    def __init__(
        self, watched: zmq.Socket[bytes], limits: Limits, *, secure: bool = False
    ) -> None:
        super().__init__(watched, secure=secure)
        self.port = 0  # of the watched socket
        self.refused = 0  # the number of messages
        self._limiter = AddressLimiter(limits)

    def admits(self, received: ReceivedMessage, now: float) -> bool:
        """Whether to read a message at all."""
        address = received.address
        if address is None:
            return True
        size = len(received.data)
        return self._apply(
            self._limiter.message(group_of(address), received.peer, size, now), received
        )

    def admits_malformed(self, received: ReceivedMessage, now: float) -> bool:
        """Whether to reply to a malformed message."""
        return self._admits_kind(received, LimitKind.MALFORMED, now)

    def admits_request(
        self, received: ReceivedMessage, request: Request, now: float
    ) -> bool:
        """Whether to serve a request; if not, the reply is "later"."""
        large = isinstance(request, Register) or len(received.data) > _LARGE_BYTES
        if large and received.address is not None:
            verdict = self._limiter.may_work(
                group_of(received.address), received.peer, now
            )
            if not self._apply(verdict, received):
                return False
        match request:
            case Register():
                return self._admits_kind(received, LimitKind.REGISTRATIONS, now)
            case StatusRequest():
                return self._admits_kind(received, LimitKind.STATUS, now)
        return True

    def reported(self, received: ReceivedMessage, size: int, now: float) -> None:
        """The reply to a message was a status report of this many bytes."""
        if received.address is not None:
            self._limiter.reported(group_of(received.address), size, now)

    def worked(self, received: ReceivedMessage, seconds: float, now: float) -> None:
        """Serving a request took this long, which is charged to its address."""
        if received.address is not None:
            self._limiter.worked(group_of(received.address), seconds, now)

    def tick(self, now: float) -> None:
        """Write the log lines that are due."""
        for line in self._limiter.tick(now):
            _log.warning("%s", line)

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        return self._limiter.next_deadline()

    def _connected(self, fd: int, address: str, now: float) -> None:
        if not self._limiter.connected(group_of(address), now):
            self._disconnect(fd, address)

    def _disconnected(self, fd: int, address: str) -> None:
        self._limiter.disconnected(group_of(address))

    def _admits_kind(
        self, received: ReceivedMessage, kind: LimitKind, now: float
    ) -> bool:
        if received.address is None:
            return True
        group = group_of(received.address)
        verdict = self._limiter.request(group, received.peer, kind, now)
        return self._apply(verdict, received)

    def _apply(self, verdict: Verdict, received: ReceivedMessage) -> bool:
        if verdict is Verdict.CLOSE and received.address is not None:
            fd = received.descriptor()
            if fd is not None:
                self._disconnect(fd, received.address)
        if verdict is Verdict.SERVE:
            return True
        self.refused += 1
        return False

    def _address_of(self, fd: int) -> str | None:
        """The IP address at the other end of a connection to our port; None: it is not
        one."""
        connection = self._connection(fd)
        return None if connection is None else connection.remote[0]

    def _disconnect(self, fd: int, address: str) -> None:
        """Close the connection of ``address`` on ``fd``; libzmq then drops that peer.
        The descriptor may have been reused meanwhile. It is closed only if it is a
        connection of the same address to our port: limits belong to addresses, so that
        is as good."""
        connection = self._connection(fd)
        if connection is not None and connection.remote[0] == address:
            close_connection(connection)

    def _connection(self, fd: int) -> Connection | None:
        """The connection to our port that has this descriptor now, or None."""
        connection = connection_at(fd)
        if connection is None or connection.port != self.port:
            return None
        return connection
