"""Forwards a limited number of events, and counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq

from pubsub_broker.forwarding.event_output import Message
from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_broker.forwarding.sockets import ForwarderSockets
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import cut_to_limit
from pubsub_common.protocol.events import topic_prefix

# Events forwarded before the control plane gets its turn.
_BURST: Final = 256


class CountingForwarder:
    """Serves the sockets of ``pool`` in the broker's own loop, without threads, until
    ``limit`` events were forwarded."""

    def __init__(self, pool: ForwarderPool, limit: int) -> None:
        self.forwarded = 0
        self.socket_sets: Sequence[ForwarderSockets] = ()
        self._pool = pool
        self._limit = limit
        self._watched: list[zmq.Socket[bytes]] = []
        # Messages that `forward_one` has received, but that are of another topic.
        self._taken: dict[ForwarderSockets, Message] = {}

    def register(self, poller: zmq.Poller) -> None:
        """Let these sockets wake the loop."""
        if not self._pool.threaded:
            self.socket_sets = self._pool.socket_sets
        for sockets in self.socket_sets:
            poller.register(sockets.xpub, zmq.POLLIN)

    def update(self, poller: zmq.Poller) -> None:
        """Before each wait: do not poll inputs without room in the output, as they
        would be ready all the time."""
        for socket in self._watched:
            poller.register(socket, 0)  # which removes it
        self._watched.clear()
        for sockets in self.socket_sets:
            if sockets.output.held is None:
                self._watched.extend(sockets.inputs())
        for socket in self._watched:
            poller.register(socket, zmq.POLLIN)

    def waits(self) -> bool:
        """Whether a message waits for a subscriber to read."""
        return any(sockets.output.held is not None for sockets in self.socket_sets)

    def forward(self) -> None:
        """Forward a burst of messages, and all subscriptions. A batch beyond the limit
        is cut. Replies of the ready handshake pass and do not count."""
        for sockets in self.socket_sets:
            sockets.forward_subscriptions()
            if not sockets.retry():
                continue
            for _ in range(_BURST):
                if self.forwarded >= self._limit or sockets.output.held is not None:
                    break
                message = self._take(sockets)
                if message is None:
                    break
                if message:
                    self._offer(sockets, message)

    def forward_one(self, topic: str) -> bool:
        """Forward the next message if it is of this topic; returns whether it was."""
        if not self.socket_sets or self.forwarded >= self._limit:
            return False
        sockets = self._pool.sockets_of(topic)
        message = self._take(sockets) if sockets.retry() else None
        if not message:
            return False
        if not message[0].bytes.startswith(topic_prefix(topic)):
            self._taken[sockets] = message
            return False
        self._offer(sockets, message)
        return True

    def _take(self, sockets: ForwarderSockets) -> Message | None:
        if sockets in self._taken:
            return self._taken.pop(sockets)
        return sockets.receive()

    def _offer(self, sockets: ForwarderSockets, message: Message) -> None:
        left = self._limit - self.forwarded
        try:
            _, event, count = cut_to_limit(message[0].bytes, left)
        except ProtocolError:
            sockets.output.offer(message)
        else:
            sockets.output.offer([zmq.Frame(event)])
            self.forwarded += count
