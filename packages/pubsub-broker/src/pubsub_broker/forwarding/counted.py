"""Forwards a limited number of events, which are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import zmq

from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_broker.forwarding.sockets import ForwarderSockets
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import cut_to_limit
from pubsub_common.protocol.events import topic_prefix

# Events forwarded before the control plane has its turn.
_BURST: Final = 256


class CountingForwarder:
    """Serves the sockets of ``forwarding`` in the broker's own loop, where no thread
    does. Each event goes through ``send``, the broker's method, which leads to ours."""

    def __init__(self, pool: ForwarderPool, send: Callable[[str], bool]) -> None:
        self._pool = pool
        self._send = send
        self._event: bytes | None = None
        self.socket_sets: Sequence[ForwarderSockets] = ()
        self._watched: list[zmq.Socket[bytes]] = []

    def register(self, poller: zmq.Poller) -> None:
        """Begin: have the loop woken for these sockets."""
        if not self._pool.threaded:
            self.socket_sets = self._pool.socket_sets
        for sockets in self.socket_sets:
            poller.register(sockets.xpub, zmq.POLLIN)

    def update(self, poller: zmq.Poller) -> None:
        """Before each wait: what there is no room for is not read, or it would be ready
        all the time."""
        for socket in self._watched:
            poller.register(socket, 0)  # which takes it out
        self._watched.clear()
        for sockets in self.socket_sets:
            if not sockets.held:
                self._watched.extend(sockets.inputs())
        for socket in self._watched:
            poller.register(socket, zmq.POLLIN)

    def held(self) -> bool:
        """Whether a message waits for a subscriber to read."""
        return any(sockets.held for sockets in self.socket_sets)

    def forward(self, sockets: ForwarderSockets, limit: int) -> int:
        """Forward what waits, up to so many events, and all subscriptions; a batch
        beyond the limit is cut. Answers of the ready handshake pass and do not count.
        Returns how many events did."""
        sockets.forward_subscriptions()
        passed = 0
        if not sockets.retry():
            return passed
        for _ in range(_BURST):
            if passed >= limit or sockets.held:
                break
            message = sockets.receive()
            if message is None:
                break
            if not message:
                continue
            frame = message[0].bytes
            try:
                topic, self._event, count = cut_to_limit(frame, limit - passed)
            except ProtocolError:
                sockets.offer(message)
                continue
            if self._send(topic):
                passed += count
        return passed

    def send(self, topic: str) -> bool:
        """Forward the event at hand to the subscribers of ``topic``; False when no
        event of this topic is at hand."""
        event = self._event
        if event is None or not event.startswith(topic_prefix(topic)):
            return False
        self._pool.sockets_of(topic).offer([zmq.Frame(event)])
        self._event = None
        return True
