"""What the connections of a port are taken to be subscribed to.

Two things are known from outside: how many bytes came in through each connection, and how many
different subscriptions the port has in all. The growth of the second is put down to the
connections through which something came in of late, in proportion. What comes in while the
total stays the same are questions that were asked and taken back.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from pubsub_common.defaults import MAX_SUBSCRIPTION_BYTES
from pubsub_common.limits.port_limits import Subscriptions

# What came in still counts, by half, at the next look: libzmq subscribes a little later.
_FADING: Final = 0.5
_FADED_BYTES: Final = 32.0


class Known(NamedTuple):
    """What is known for certain of a connection: what it is subscribed to, how many bytes of
    what came in were looked at, and whether it is ``trusted`` (`PortBudget.trust`)."""

    held: Subscriptions
    judged: int
    trusted: bool = False


# What is known of the connection with a descriptor; None: nothing.
KnownOf = Callable[[int], Known | None]


@dataclasses.dataclass(slots=True, eq=False)
class Group:
    """The connections of one address, or of the port, through how many of them somebody has
    ``subscribed``, and what they hold together. The times
    are states of token buckets, but for when one of them was closed for what came in, first of
    a row and last, and when the broker was asked about them."""

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
    """A connection, and what it holds: ``count`` subscriptions of ``size`` bytes. ``loose`` is
    what came in that may still turn out to be held."""

    fd: int
    address: str
    groups: tuple[Group, Group]
    accepted_at: float
    trusted: bool = False
    # The last flood of its address that it was there at, and what it held then.
    flood_at: float = -math.inf
    size_then: float = 0.0
    received: int = 0
    recent: float = 0.0
    loose: float = 0.0
    count: float = 0.0
    size: float = 0.0
    flow_at: float = -math.inf

    def hold(self, count: float, size: float) -> None:
        """It holds so much from here on."""
        for group in self.groups:
            group.count = max(0.0, group.count + count - self.count)
            group.size = max(0.0, group.size + size - self.size)
        self.count, self.size = count, size

    def change(self, count: float) -> None:
        """It holds so many more, or fewer."""
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
        # Questions are longer than others: what ends is as long as what ended it, within
        # reason.
        ended = max(average, min(self.loose, 2 * average))
        self.loose = 0.0
        self.hold(left, self.size - ended)


class HeldSubscriptions:
    """Puts subscriptions down to connections."""

    def __init__(self, handshake_bytes: int) -> None:
        # Through which something came in of late.
        self.active: dict[int, Connection] = {}
        self._handshake_bytes = handshake_bytes
        self._total = 0
        # What connections held that have ended, which libzmq has still to forget.
        self._owed = 0.0

    def receive(self, connection: Connection, received: int) -> int:
        """So much has come in through it, in all; how much of it is new."""
        before = max(connection.received, self._handshake_bytes)
        grown = max(0, received - before)
        connection.received = received
        connection.recent += grown
        connection.loose += grown
        if grown:
            self.active[connection.fd] = connection
        return grown

    def end(self, connection: Connection) -> None:
        """It has ended."""
        self.active.pop(connection.fd, None)
        self._owed += connection.count
        connection.hold(0.0, 0.0)

    def put_down(self, total: int) -> None:
        """The port has so many different subscriptions now."""
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
        """It is known what each connection holds; what has come in and was not looked at
        yet may be held."""
        for fd, connection in self.active.items():
            held, judged, _ = known(fd) or _NOT_KNOWN
            waiting = connection.received - self._handshake_bytes - judged
            connection.hold(held.number, held.size + max(0, waiting))

    def fade(self) -> None:
        """A look is over."""
        for fd, connection in list(self.active.items()):
            connection.recent *= _FADING
            if connection.recent < _FADED_BYTES:
                del self.active[fd]
                connection.recent = connection.loose = 0.0


def largest(
    group: Group, most: Subscriptions, connections: Iterable[Connection]
) -> Connection | None:
    """If a group holds more than it may, the connection of it that holds most: not the one
    through which something comes in just now, which may be somebody else's."""
    if group.count <= most.number and group.size <= most.size:
        return None
    return max(
        (each for each in connections if group in each.groups),
        key=lambda each: max(each.count / most.number, each.size / most.size),
        default=None,
    )


_NOT_KNOWN: Final = Known(Subscriptions(0, 0), 0)
