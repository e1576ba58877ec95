"""The input rate of subscriptions and requests through connections: the *flow*."""

from __future__ import annotations

from typing import Final

from pubsub_common.limits.held_subscriptions import Connection
from pubsub_common.limits.port_limits import PortLimits, Subscriptions

# The input of a small connection: subscriptions to dozens of topics.
_SMALL_BYTES: Final = 8 * 1024
# How long an address has lower limits after a flood.
AFTER_FLOOD_S: Final = 30.0


class PortFlow:
    """Checks input with token buckets of each connection and each address."""

    def __init__(self, limits: PortLimits) -> None:
        self._limits = limits

    def is_over(
        self, connection: Connection, new: int, declared: Subscriptions, now: float
    ) -> bool:
        """Whether these ``new`` bytes exceed the limit now, if registered subscribers
        have ``declared`` their needs."""
        together = self._limits.flow_of_address(declared)
        own = together if connection.trusted else self._limits.flow(declared)
        flow_at = own.take(connection.flow_at, now, new)
        if flow_at is None:
            return True
        connection.flow_at = flow_at
        if connection.trusted:
            return False
        group = connection.groups[0]
        small = connection.received <= _SMALL_BYTES
        if now - group.flooded_at < AFTER_FLOOD_S:
            return _grown_since_flood(connection) > _SMALL_BYTES
        flow_at = together.take(group.flow_at, now, new)
        if flow_at is None:
            return not small
        group.flow_at = flow_at
        return False


def _grown_since_flood(connection: Connection) -> float:
    """The growth of its subscriptions since the flood of its address; its total input,
    if it was opened after that."""
    flooded_at = connection.groups[0].flooded_at
    if connection.accepted_at >= flooded_at:
        return connection.received
    if connection.flood_at != flooded_at:
        connection.flood_at, connection.size_then = flooded_at, connection.size
    return connection.size - connection.size_then
