"""Reads requests from the control socket, a limited number at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import zmq

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Effect
from pubsub_broker.transport.connection_guard import ConnectionGuard
from pubsub_broker.transport.control_socket import ControlSocket, ReceivedMessage
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import Request

# Requests served before queued ones wait for pushes and forwarder changes: bounds
# how long a crowd of newcomers delays the others' notifications.
_BURST: Final = 256
# After so many refused messages the control socket is not read for a while: its queues fill
# up, and then the senders'. Both are short, so that a turn is over before the processor is
# missed by somebody else (it is given away for milliseconds at a time), and so that a client
# that comes meanwhile does not wait long.
_FLOOD: Final = 10
_PAUSE_S: Final = 0.005


class RequestReader:
    """Yields the requests to serve. The connection guard decides which these are; the
    core answers the others, by effects that ``perform`` carries out."""

    def __init__(
        self,
        control_socket: ControlSocket,
        guard: ConnectionGuard,
        core: BrokerCore,
        perform: Callable[[Iterable[Effect]], None],
    ) -> None:
        self._control_socket = control_socket
        self._guard = guard
        self._core = core
        self._perform = perform
        self._paused_until = 0.0

    def update(self, poller: zmq.Poller, now: float) -> None:
        """Before each wait: in a pause, an incoming message is not a reason to end it."""
        listening = now >= self._paused_until
        poller.register(self._control_socket.socket, zmq.POLLIN if listening else 0)

    def next_deadline(self, now: float) -> float | None:
        """When a pause ends; None: there is none."""
        return self._paused_until if self._paused_until > now else None

    def requests(self) -> Iterator[tuple[ReceivedMessage, Request]]:
        """Those that wait, each to be served before the next one is taken in."""
        refused = self._guard.refused
        for _ in range(_BURST):
            received = self._control_socket.receive()
            if received is None:
                return
            request = self._read(received, time.monotonic())
            if request is not None:
                yield received, request
            if self._guard.refused - refused >= _FLOOD:
                self._paused_until = time.monotonic() + _PAUSE_S
                return

    def _read(self, received: ReceivedMessage, now: float) -> Request | None:
        """The request in a message, if it is to be served."""
        if not self._guard.admits(received, now):
            return None
        peer, data = received.peer, received.data
        try:
            request = self._core.decode(data)
        except ProtocolError as error:
            if self._guard.admits_malformed(received, now):
                self._perform(self._core.undecodable(peer, data, error))
            return None
        clients = self._core.client_count
        if not self._guard.admits_request(received, request, now, clients):
            self._perform(self._core.postpone(peer, request))
            return None
        return request
