"""Reads requests from the control socket, a limited number at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import zmq

from pubsub_broker.control.effects import Effect
from pubsub_broker.control.refusals import Refusals, decode_request
from pubsub_broker.transport.connection_guard import ConnectionGuard
from pubsub_broker.transport.control_socket import ControlSocket, ReceivedMessage
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import Request

# Requests that are served before pushes and forwarder changes get their turn: limits
# how long a crowd of new clients delays the notifications of others.
_BURST: Final = 256
# After this many rejected messages the control socket is not read for a while, so its
# queues fill up, and then the senders'. Both times are short. The turn ends before
# another process needs the processor (it is released for milliseconds at a time), and a
# client that connects meanwhile does not wait long.
_FLOOD: Final = 10
_PAUSE_S: Final = 0.005


class ServedRequest(NamedTuple):
    """A request to serve, and its message."""

    received: ReceivedMessage
    request: Request


# The effects of a message that is not served.
Refused = list[Effect]


class RequestReader:
    """Reads messages and sorts them: requests to serve, and rejected messages with
    their replies. The connection guard decides."""

    def __init__(
        self,
        control_socket: ControlSocket,
        guard: ConnectionGuard,
        refusals: Refusals,
    ) -> None:
        self._control_socket = control_socket
        self._guard = guard
        self._refusals = refusals
        self._paused_until = 0.0

    def update(self, poller: zmq.Poller, now: float) -> None:
        """Before each wait: during a pause, an incoming message must not end the wait."""
        listening = now >= self._paused_until
        poller.register(self._control_socket.socket, zmq.POLLIN if listening else 0)

    def next_deadline(self, now: float) -> float | None:
        """When a pause ends; None without a pause."""
        return self._paused_until if self._paused_until > now else None

    def requests(self) -> Iterator[ServedRequest | Refused]:
        """The waiting requests; each must be served before the next one is read."""
        refused = self._guard.refused
        for _ in range(_BURST):
            received = self._control_socket.receive()
            if received is None:
                return
            yield self._read(received, time.monotonic())
            if self._guard.refused - refused >= _FLOOD:
                self._paused_until = time.monotonic() + _PAUSE_S
                return

    def _read(self, received: ReceivedMessage, now: float) -> ServedRequest | Refused:
        """The request in a message, if it must be served."""
        if not self._guard.admits(received, now):
            return self._refusals.unread(received.peer)
        try:
            request = decode_request(received.data)
        except ProtocolError as error:
            if not self._guard.admits_malformed(received, now):
                return []
            return self._refusals.undecodable(received.peer, received.data, error)
        if not self._guard.admits_request(received, request, now):
            return self._refusals.too_fast(received.peer, request)
        return ServedRequest(received, request)
