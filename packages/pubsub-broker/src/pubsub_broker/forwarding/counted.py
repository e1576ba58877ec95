"""Forwarding of a limited number of events, which must be counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import zmq

from pubsub_broker.forwarding.pool import Forwarding
from pubsub_broker.forwarding.sockets import OutSocket
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import counted
from pubsub_common.protocol.events import topic_prefix

# Events forwarded before the control plane has its turn.
_BURST: Final = 256


class CountingForwarder:
    """Serves the sockets of ``forwarding`` in the broker's own loop, where no thread
    does. Each event goes through ``send``, the broker's method, which leads to ours."""

    def __init__(self, forwarding: Forwarding, send: Callable[[str], bool]) -> None:
        self._forwarding = forwarding
        self._send = send
        self._event: bytes | None = None
        self.pairs: Sequence[OutSocket] = ()
        self._watched: list[zmq.Socket[bytes]] = []

    def register(self, poller: zmq.Poller) -> None:
        """Begin: have the loop woken for these sockets."""
        if not self._forwarding.threaded:
            self.pairs = self._forwarding.pairs
        for pair in self.pairs:
            poller.register(pair.xpub, zmq.POLLIN)

    def update(self, poller: zmq.Poller) -> None:
        """Before each wait: what there is no room for is not read, or it would be ready
        all the time."""
        for socket in self._watched:
            poller.register(socket, 0)  # which takes it out
        self._watched.clear()
        for pair in self.pairs:
            if not pair.held:
                self._watched.extend(pair.inputs())
        for socket in self._watched:
            poller.register(socket, zmq.POLLIN)

    def held(self) -> bool:
        """Whether a message waits for a subscriber to read."""
        return any(pair.held for pair in self.pairs)

    def forward(self, pair: OutSocket, limit: int) -> int:
        """Forward what waits, up to so many events, and all subscriptions; a batch
        beyond the limit is cut. Answers of the ready handshake pass and do not count.
        Returns how many events did."""
        pair.forward_subscriptions()
        passed = 0
        if not pair.retry():
            return passed
        for _ in range(_BURST):
            if passed >= limit or pair.held:
                break
            message = pair.receive()
            if message is None:
                break
            if not message:
                continue
            frame = message[0].bytes
            try:
                topic, self._event, count = counted(frame, limit - passed)
            except ProtocolError:
                pair.offer(message)
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
        self._forwarding.pair_of(topic).offer([zmq.Frame(event)])
        self._event = None
        return True
