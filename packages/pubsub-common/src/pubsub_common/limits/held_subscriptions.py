"""Estimates the subscriptions of each connection of a port.

Two numbers are known: the bytes that came in through each connection, and the number of
different subscriptions of the port. The growth of the second is attributed to the
connections with recent input, in proportion. Input without growth is requests, which
were subscribed and unsubscribed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from pubsub_common.defaults import MAX_SUBSCRIPTION_BYTES
from pubsub_common.limits.port_limits import Subscriptions

# Half of the earlier input still counts at the next check: libzmq subscribes a little
# later.
_FADING: Final = 0.5
_FADED_BYTES: Final = 32.0


class Known(NamedTuple):
    """The certain state of a connection: its subscriptions, the number of checked
    bytes, and whether it is ``trusted`` (`PortBudget.trust`)."""

    held: Subscriptions
    judged: int
    trusted: bool = False


# The known state of the connection with a descriptor; None if unknown.
KnownOf = Callable[[int], Known | None]


@dataclasses.dataclass(slots=True, eq=False)
class Group:
    """The connections of one address, or of the port: the number with subscriptions
    (``subscribed``), and their total. The times are states of token buckets, except the
    first and last time of a series at which one was closed because of its input, and
    the time of the last question to the broker."""

    connections: int = 0
    subscribed: int = 0
    count: float = 0.0
    size: float = 0.0
    arrivals_at: float = -math.inf
    flow_at: float = -math.inf
    flooded_at: float = -math.inf
    closed_at: float = -math.inf
    asked_at: float = -math.inf


@dataclasses.dataclass(slots=True, eq=False)
class Connection:
    """A connection and its subscriptions: ``count`` of them, of ``size`` bytes.
    ``loose`` is input that may still become subscriptions."""

    fd: int
    address: str
    groups: tuple[Group, Group]
    accepted_at: float
    trusted: bool = False
    # The last flood of its address during its life, and its subscriptions at that time.
    flood_at: float = -math.inf
    size_then: float = 0.0
    received: int = 0
    recent: float = 0.0
    loose: float = 0.0
    count: float = 0.0
    size: float = 0.0
    flow_at: float = -math.inf

    def hold(self, count: float, size: float) -> None:
        """Set its subscriptions."""
        for group in self.groups:
            group.count = max(0.0, group.count + count - self.count)
            group.size = max(0.0, group.size + size - self.size)
        self.count, self.size = count, size

    def change(self, count: float) -> None:
        """Add or remove subscriptions."""
        if count > 0:
            size = min(self.loose, count * MAX_SUBSCRIPTION_BYTES)
            self.loose -= size
            self.hold(self.count + count, self.size + size)
            return
        if not count or not self.count:
            self.loose *= _FADING
            return
        left = max(0.0, self.count + count)
        average = self.size * (1 - left / self.count)
        # Requests are longer than other subscriptions: a subscription that ends is
        # about as long as the message that ended it.
        ended = max(average, min(self.loose, 2 * average))
        self.loose = 0.0
        self.hold(left, self.size - ended)


class HeldSubscriptions:
    """Attributes subscriptions to connections."""

    def __init__(self, handshake_bytes: int) -> None:
        # Connections with recent input.
        self.active: dict[int, Connection] = {}
        self._handshake_bytes = handshake_bytes
        self._total = 0
        # Subscriptions of closed connections, which libzmq must still remove.
        self._owed = 0.0

    def receive(self, connection: Connection, received: int) -> int:
        """The total input of a connection; returns the new part of it."""
        before = max(connection.received, self._handshake_bytes)
        grown = max(0, received - before)
        connection.received = received
        connection.recent += grown
        connection.loose += grown
        if grown:
            self.active[connection.fd] = connection
        return grown

    def end(self, connection: Connection) -> None:
        """The connection has closed."""
        self.active.pop(connection.fd, None)
        self._owed += connection.count
        connection.hold(0.0, 0.0)

    def put_down(self, total: int) -> None:
        """The port has this many different subscriptions now."""
        change = float(total - self._total)
        self._total = total
        if change < 0:
            paid = min(self._owed, -change)
            self._owed -= paid
            change += paid
        recent = sum(each.recent for each in self.active.values())
        for connection in self.active.values():
            connection.change(change * connection.recent / recent)

    def take_known(self, known: KnownOf) -> None:
        """The subscriptions of each connection are known; input that was not checked
        yet may become subscriptions."""
        for fd, connection in self.active.items():
            held, judged, _ = known(fd) or _NOT_KNOWN
            waiting = connection.received - self._handshake_bytes - judged
            connection.hold(held.number, held.size + max(0, waiting))

    def fade(self) -> None:
        """A check is over."""
        for fd, connection in list(self.active.items()):
            connection.recent *= _FADING
            if connection.recent < _FADED_BYTES:
                del self.active[fd]
                connection.recent = connection.loose = 0.0


def largest(
    group: Group, most: Subscriptions, connections: Iterable[Connection]
) -> Connection | None:
    """If a group exceeds its limit: its connection with the most subscriptions. This is
    not the connection with current input, which may be another client's."""
    if group.count <= most.number and group.size <= most.size:
        return None
    return max(
        (each for each in connections if group in each.groups),
        key=lambda each: max(each.count / most.number, each.size / most.size),
        default=None,
    )


_NOT_KNOWN: Final = Known(Subscriptions(0, 0), 0)
