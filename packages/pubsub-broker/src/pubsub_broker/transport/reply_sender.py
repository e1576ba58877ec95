"""Sends to the connections of the control socket, and closes those that do not read."""

from __future__ import annotations

import dataclasses
from typing import Final

import zmq

from pubsub_broker.limits.unread_replies import UnreadLimits, UnreadReplies
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_at,
    sent_by,
)

# Remembered connections: more than can be in use.
_MAX_CONNECTIONS: Final = 100_000
_KIND: Final = "does not read"
# The prefix of a message in libzmq: flags, and its length in one byte or eight.
_SHORT_BYTES: Final = 255
_SHORT_HEADER: Final = 2
_LONG_HEADER: Final = 9
# The prefix that CURVE adds: the command's name, a nonce, flags and the authenticator.
_CURVE_BYTES: Final = 33


@dataclasses.dataclass(slots=True)
class _Route:
    """A connection. ``sent`` are the bytes that were sent since it had acknowledged
    ``acknowledged``, and all earlier ones. ``closed``: it did not read."""

    connection: Connection
    sent: int = 0
    acknowledged: int = 0
    closed: bool = False

    @property
    def address(self) -> str:
        """The address that the bounds belong to."""
        return group_of(self.connection.remote[0])


class ReplySender:
    """The sending side of a ROUTER socket. For the thread of that socket.

    The unread bytes of a peer are bounded (`UnreadReplies`).
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        audit: AuditLog,
        *,
        secure: bool,
        limits: UnreadLimits | None = None,
    ) -> None:
        self._socket = socket
        # Makes libzmq report a peer that is gone, or has no room.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._audit = audit
        self._extra = _CURVE_BYTES if secure else 0
        self._unread = UnreadReplies(limits)
        self._routes: dict[bytes, _Route] = {}

    @property
    def held(self) -> int:
        """The bytes that wait for all peers, at the last check."""
        return self._unread.total

    def heard(self, peer: bytes, fd: int | None) -> bool:
        """A message came from ``peer``, over the connection with this descriptor.
        False: the peer was disconnected, and its earlier messages are not served."""
        if fd is None:
            return True
        known = self._routes.get(peer)
        if known is not None and known.connection.fd == fd:
            return not known.closed
        if known is not None:  # it reuses the name of an earlier one
            self._forget(peer)
        elif len(self._routes) >= _MAX_CONNECTIONS:
            for each in list(self._routes):  # connections in use come again
                self._forget(each)
        connection = connection_at(fd)
        if connection is not None:
            sent = sent_by(connection)
            acknowledged = 0 if sent is None else sent.acknowledged
            self._routes[peer] = _Route(connection, acknowledged=acknowledged)
        return True

    def is_lost(self, peer: bytes) -> bool:
        """Whether the connection of ``peer``, which has sent something, has closed."""
        route = self._routes.get(peer)
        return (
            route is None
            or route.closed
            or connection_at(route.connection.fd) != route.connection
        )

    def remote(self, peer: bytes) -> tuple[str, int] | None:
        """The address and the port at the other end of a connection; None if unknown."""
        route = self._routes.get(peer)
        return None if route is None else route.connection.remote

    def send(self, peer: bytes, data: bytes) -> bool:
        """Send to a connection that exists and reads. Returns whether it was sent."""
        route = self._routes.get(peer)
        if route is not None and (route.closed or not self._has_room(peer, route)):
            return False
        try:
            self._socket.send_multipart([peer, data], zmq.NOBLOCK)
        except zmq.Again:
            self._disconnect(peer)  # libzmq's queue is full
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._forget(peer)
        else:
            if route is not None:
                route.sent += self._on_the_wire(len(data))
                self._unread.sent(peer, route.address, len(data))
            return True
        return False

    def _on_the_wire(self, size: int) -> int:
        size += self._extra
        return size + (_SHORT_HEADER if size <= _SHORT_BYTES else _LONG_HEADER)

    def _has_room(self, peer: bytes, route: _Route) -> bool:
        suspects = self._unread.suspects(peer, route.address)
        if not suspects:
            return True
        for each, address in suspects:
            self._unread.update(each, address, self._waiting(each))
        for each, _ in self._unread.excess(peer, route.address):
            self._disconnect(each)
        return not route.closed

    def _waiting(self, peer: bytes) -> int:
        """The bytes that a peer has not acknowledged."""
        route = self._routes.get(peer)
        if route is None:
            return 0
        seen = sent_by(route.connection)
        if seen is None:
            route.sent = 0
        else:
            route.sent = max(0, route.sent - (seen.acknowledged - route.acknowledged))
            route.acknowledged = seen.acknowledged
        return route.sent

    def _disconnect(self, peer: bytes) -> None:
        """Close a connection that does not read."""
        route = self._routes.get(peer)
        if route is None:
            return
        route.closed = True
        held = self._unread.held(peer, route.address)
        self._unread.update(peer, route.address)
        if close_connection(route.connection):  # otherwise it is closed already
            self._audit.warn(
                route.connection.remote[0],
                _KIND,
                f"disconnected: port {route.connection.remote[1]} does not read its "
                f"messages ({held} bytes wait)",
            )

    def _forget(self, peer: bytes) -> None:
        route = self._routes.pop(peer, None)
        if route is not None:
            self._unread.update(peer, route.address)
