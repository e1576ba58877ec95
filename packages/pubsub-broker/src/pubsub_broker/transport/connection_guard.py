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

# Shorter ones, but for registrations, are done in no time.
_LARGE_BYTES: Final = 4096


class ConnectionGuard(HandshakeMonitor):
    """Checks messages and connections at a control socket against the limits of their
    address (`group_of`); closes connections that exceed them too often. Belongs to the thread of
    that socket.

    Connections are seen through libzmq's monitor: also those on which nothing is ever
    said, which would take all open files else.
    """

    def __init__(
        self, watched: zmq.Socket[bytes], limits: Limits, *, secure: bool = False
    ) -> None:
        super().__init__(watched, secure=secure)
        self.port = 0  # on which the watched socket listens
        self.refused = 0  # messages, so far
        self._limiter = AddressLimiter(limits)

    def admits(self, received: ReceivedMessage, now: float) -> bool:
        """Whether to look into a message at all."""
        address = received.address
        if address is None:
            return True
        size = len(received.data)
        return self._apply(
            self._limiter.message(group_of(address), received.peer, size, now), received
        )

    def admits_malformed(self, received: ReceivedMessage, now: float) -> bool:
        """Whether to answer a message that was none."""
        return self._admits_kind(received, LimitKind.MALFORMED, now)

    def admits_request(
        self, received: ReceivedMessage, request: Request, now: float
    ) -> bool:
        """Whether to serve a request; if not, it is to be answered with "later"."""
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
        """A status report of so many bytes was the answer to a message."""
        if received.address is not None:
            self._limiter.reported(group_of(received.address), size, now)

    def worked(self, received: ReceivedMessage, seconds: float, now: float) -> None:
        """To serve a request took so long: its address has to answer for that."""
        if received.address is not None:
            self._limiter.worked(group_of(received.address), seconds, now)

    def tick(self, now: float) -> None:
        """Log what is due."""
        for line in self._limiter.tick(now):
            _log.warning("%s", line)

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
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
        """The IP address at the other end of a connection to our port; None: it is none."""
        connection = self._connection(fd)
        return None if connection is None else connection.remote[0]

    def _disconnect(self, fd: int, address: str) -> None:
        """End the connection of ``address`` on ``fd``; libzmq then drops that peer. Should
        it have closed the descriptor and opened it for something else meanwhile, that
        is left alone, unless it is a connection of the same address to our port: limits
        are of addresses, so it is as good as that."""
        connection = self._connection(fd)
        if connection is not None and connection.remote[0] == address:
            close_connection(connection)

    def _connection(self, fd: int) -> Connection | None:
        """The connection to our port that has this descriptor now; None: none."""
        connection = connection_at(fd)
        if connection is None or connection.port != self.port:
            return None
        return connection
