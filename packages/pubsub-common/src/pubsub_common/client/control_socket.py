"""The socket of a client's control connection to the broker."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.net import sockets
from pubsub_common.protocol import messages
from pubsub_common.protocol.undecodable import unknown_reply

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES: Final = 1 << 26


class Received(NamedTuple):
    """A message of the broker, or None for an ignored one, and when it was received
    (nanoseconds of the realtime clock)."""

    reply: messages.Reply | None
    at_ns: int


class ControlSocket:
    """A DEALER socket that sends requests and receives replies, without waiting. For one
    thread."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str | None,
        keys: ClientKeys | None,
    ) -> None:
        """``endpoint`` is the broker's; None: `move` will set it."""
        self.endpoint = endpoint or ""
        self._invalid_count = 0
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        sockets.enable_keepalive(self.socket)
        # Without a connection a request must not wait: an old registration that reaches a new
        # broker is useless.
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.MAXMSGSIZE, _MAX_MESSAGE_BYTES)
        if keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(self.socket, keys.pair, keys.broker)
        self.fd: int = self.socket.FD

    def connect(self) -> None:
        if self.endpoint:
            sockets.connect(self.socket, self.endpoint)

    def reconnect(self) -> None:
        """Connect again, after a failure that libzmq treats as final."""
        sockets.reconnect(self.socket, self.endpoint)

    def move(self, endpoint: str) -> None:
        """Connect to another endpoint instead, where the broker is now."""
        with contextlib.suppress(zmq.ZMQError):  # libzmq may have disconnected already
            self.socket.disconnect(self.endpoint)
        self.endpoint = endpoint
        self.connect()

    def connected(self) -> bool:
        return bool(int(self.socket.get(zmq.EVENTS)) & zmq.POLLOUT)

    def changed(self, connected: bool) -> bool:
        """Whether a reply can be received, or the connection is not as ``connected`` any
        more. A send or receive may take that signal from the descriptor
        (`pubsub_common.net.sockets`): call this before each wait."""
        events = int(self.socket.get(zmq.EVENTS))
        return bool(events & zmq.POLLIN) or bool(events & zmq.POLLOUT) != connected

    def send(self, request: messages.Request) -> bool:
        """Send a request; False: there is no connection."""
        try:
            self.socket.send(messages.encode(request), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> Received | None:
        """The next message; None if there is none. The first invalid one is logged. An
        unknown type is not invalid: a later version of the protocol may have more types."""
        try:
            data, *more = self.socket.recv_multipart(zmq.NOBLOCK)
            at_ns = time.time_ns()
        except zmq.Again:
            return None
        try:
            if more:
                raise ProtocolError("a message is one frame")
            return Received(messages.decode_reply(data), at_ns)
        except ProtocolError as error:
            unknown = None if more else unknown_reply(data)
            if unknown is not None:
                _log.debug("%s sent a message of type %s", self.endpoint, unknown)
                return Received(None, at_ns)
            self._invalid_count += 1
            if self._invalid_count == 1:
                _log.warning(
                    "%s sent an invalid control message (logged once): %s",
                    self.endpoint,
                    error,
                )
            return Received(None, at_ns)

    def close(self) -> None:
        self.socket.close(linger=0)
