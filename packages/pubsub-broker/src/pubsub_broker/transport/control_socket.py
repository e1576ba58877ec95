"""The broker's control socket: messages in and out, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import zmq

from pubsub_broker.transport.control_trace import ControlTrace
from pubsub_broker.transport.reply_sender import ReplySender
from pubsub_common.defaults import MAX_CONTROL_BYTES, REPLY_BYTES
from pubsub_common.errors import CannotListen
from pubsub_common.net.addresses import why_not
from pubsub_common.net.sockets import bind, enable_keepalive, endpoint
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import join, written
from pubsub_common.protocol.messages import Error, Reply
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_of,
    frame_property,
    user_of,
)

if TYPE_CHECKING:
    from pubsub_common.logs.audit_log import AuditLog
    from pubsub_common.security.keys import KeyPair

# How long sending a farewell may take; a lost one does no harm.
_FAREWELL_S: Final = 1.0
# Per client: bytes are limited before this, unless the messages are tiny.
_CONTROL_QUEUE: Final = 1000
# The bytes that the kernel buffers for a client.
_SEND_BUFFER_BYTES: Final = 128 * 1024
# The messages of a connection that may wait in libzmq, in addition to the kernel: a
# client sends one or two, of up to 4 MiB, and the rest of a flood should stay on its
# side.
_RECEIVE_QUEUE: Final = 16
_RECEIVE_BUFFER_BYTES: Final = 128 * 1024
# Messages a bit longer than the limit get an error as reply; even longer ones end the
# connection, before they fill the memory.
_MAX_RECEIVED: Final = 2 * MAX_CONTROL_BYTES
# Connections with a remembered key.
_MAX_CONNECTIONS: Final = 100_000
# Time for a client to read the reason before it is disconnected.
_DISCONNECT_DELAY_S: Final = 0.2
# A broker that forwards has two of libzmq's threads, so that events do not wait for
# control messages. Masks like ZMQ_AFFINITY.
CONTROL_THREADS: Final = 0b01
EVENT_THREADS: Final = 0b10


class ReceivedMessage(NamedTuple):
    """A message, its connection, the IP address at the other end, and in secure mode
    the public key of its sender; None for an unknown value."""

    peer: bytes
    data: bytes
    address: str | None = None
    frame: zmq.Frame | None = None
    key: str | None = None

    def descriptor(self) -> int | None:
        """The file descriptor of the connection; it may be closed meanwhile."""
        fd = None if self.frame is None else frame_property(self.frame, "__fd")
        return None if fd is None else int(fd)


class ControlSocket:
    """A ROUTER socket: each client is identified by its connection."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        audit: AuditLog,
        pair: KeyPair | None = None,
    ) -> None:
        """``audit`` reports peers that do not read, and disconnects them. With
        ``pair``, the broker's keys, only clients with keys can connect."""
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.AFFINITY, CONTROL_THREADS)
        enable_keepalive(self.socket)
        self.socket.set_hwm(_CONTROL_QUEUE)
        self.socket.setsockopt(zmq.SNDBUF, _SEND_BUFFER_BYTES)
        self.socket.setsockopt(zmq.RCVHWM, _RECEIVE_QUEUE)
        self.socket.setsockopt(zmq.RCVBUF, _RECEIVE_BUFFER_BYTES)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _MAX_RECEIVED)
        self._replies = ReplySender(self.socket, audit, secure=pair is not None)
        self._trace = ControlTrace()
        self._secure = pair is not None
        # Connections that have sent something, with the key of each.
        self._connections: dict[Connection, str] = {}
        # The keys of clients to disconnect, and when.
        self._to_disconnect: list[tuple[float, set[str]]] = []
        if pair is not None:
            from pubsub_common.security.keys import configure_curve_server

            configure_curve_server(self.socket, pair)

    def bind(self, host: str, port: int) -> int:
        """Listen; returns the port, a free one for ``port`` 0.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
        """
        try:
            return bind(self.socket, endpoint(host, port or "*"))
        except zmq.ZMQError as error:
            raise CannotListen(
                f"cannot listen on {join(host, port)}: {why_not(host, error)}"
            ) from error

    def receive(self) -> ReceivedMessage | None:
        """The next message of a connection; None without one."""
        while True:
            try:
                peer = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            # Not copied, as only a zero-copy frame knows its connection.
            frame = self.socket.recv(copy=False)
            data = frame.bytes
            while self.socket.rcvmore:
                self.socket.recv()
                data = b""  # malformed
            key = self._key_of(frame) if self._secure else None
            address = frame_property(frame, "Peer-Address")
            host = None if address is None else written(address)
            received = ReceivedMessage(peer, data, host, frame, key)
            if self._replies.heard(peer, received.descriptor()):
                if self._trace.wanted:
                    self._trace.came(self._replies.remote(peer), data)
                return received

    def _key_of(self, frame: zmq.Frame) -> str | None:
        key, connection = user_of(frame), connection_of(frame)
        if key is not None and connection is not None:
            if len(self._connections) >= _MAX_CONNECTIONS:
                self._connections.clear()  # connections in use come again
            self._connections[connection] = key
        return key

    @property
    def held_bytes(self) -> int:
        """The bytes that wait for peers to read, at the last check."""
        return self._replies.held

    def is_lost(self, peer: bytes) -> bool:
        """Whether a connection that has sent something is known to have closed."""
        return self._replies.is_lost(peer)

    def disconnect_later(self, keys: set[str], now: float) -> None:
        """Close the connections of clients with these keys, after a delay for reading
        the reason."""
        self._to_disconnect.append((now + _DISCONNECT_DELAY_S, keys))

    def tick(self, now: float) -> None:
        """Close connections that are due."""
        while self._to_disconnect and self._to_disconnect[0][0] <= now:
            self._disconnect(self._to_disconnect.pop(0)[1])

    def _disconnect(self, keys: set[str]) -> None:
        for connection, key in list(self._connections.items()):
            if key in keys:
                del self._connections[connection]
                close_connection(connection)

    def send(self, peer: bytes, message: Reply) -> int:
        """Send to a connection that exists and reads. Returns the message's length."""
        if not peer:
            return 0
        data = messages.encode(message)
        if len(data) > REPLY_BYTES:
            # Also instead of a push: the client then registers again, and gets this
            # error.
            data = messages.encode(_too_long(getattr(message, "id", -1), len(data)))
        if self._replies.send(peer, data) and self._trace.wanted:
            self._trace.went(self._replies.remote(peer), data)
        return len(data)

    def close(self, linger_s: float) -> None:
        """Close the socket; farewells get a moment to leave."""
        self.socket.close(linger=round(min(linger_s, _FAREWELL_S) * 1000))


def _too_long(request_id: int, size: int) -> Error:
    return Error(
        id=request_id,
        code=messages.TOO_MANY,
        detail=f"the answer would have {size} bytes, more than {REPLY_BYTES}; "
        "use fewer topics, or narrower ones",
    )
