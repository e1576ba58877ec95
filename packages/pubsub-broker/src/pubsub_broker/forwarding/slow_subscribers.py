"""Bounds the bytes that wait for subscribers."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_broker.forwarding.interface import ForwarderControl
from pubsub_broker.forwarding.sockets import ForwarderSockets
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.connections import close_connection
from pubsub_common.security.unread_queues import (
    LOOK_EVERY_S,
    Unread,
    UnreadLook,
    memory_bytes,
)


class SlowSubscribers:
    """For all forwarders. For the broker's control thread."""

    def __init__(self, bounds: QueueBounds, *, blocking: bool) -> None:
        self.look_at = 0.0
        self._bounds = bounds
        self._blocking = blocking
        self._looks: dict[int, UnreadLook] = {}
        self._memory = -1

    def look(
        self,
        now: float,
        ports: Sequence[int],
        controls: Sequence[ForwarderControl],
        socket_sets: Sequence[ForwarderSockets],
    ) -> list[Unread]:
        """Check the subscribers of each forwarder, if it is time. Returns the closed
        connections."""
        if now < self.look_at:
            return []
        self.look_at = now + LOOK_EVERY_S
        full = any(sockets.output.bytes_full for sockets in socket_sets)
        # Without growth of the memory nothing waits, and asking forwarders costs them
        # time.
        memory = memory_bytes()
        if self._memory < 0 or memory < self._memory:
            self._memory = memory
        if memory - self._memory < self._bounds.look_bytes and not full:
            return []
        closed: list[Unread] = []
        for port, control, sockets in zip(ports, controls, socket_sets, strict=False):
            look = self._looks.setdefault(port, UnreadLook(self._bounds))
            sent, largest = control.large_bytes()
            if look.due_s(sent, now, again=sockets.output.bytes_full) != 0:
                continue
            unread = look.look(port, sent, largest, now)
            if self._blocking:
                sockets.output.bytes_full = bool(unread)
            else:
                closed += [each for each in unread if close_connection(each.connection)]
        return closed
