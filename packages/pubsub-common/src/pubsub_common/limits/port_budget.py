"""Decides which connections of a port for subscribers must be closed.

Theory of operation
-------------------
Subscriptions cost memory in libzmq, and time when the peer leaves, and libzmq limits
neither. So there are limits for each connection, for all of one address, and for all of
the port: for their subscriptions (`pubsub_common.limits.held_subscriptions`), and for
the rate of their input: the *flow* (`pubsub_common.limits.port_flow`). The limits grow
with the declared topics of registered subscribers, so that honest ones have room, for
any number and size. A new subscriber may be here before its declaration, so the broker
is asked first (`PortBudget.asks`).

A flood costs something even if it is stopped soon, and a disconnected client reconnects
immediately. So for half a minute after a flood, connections of its address may add few
subscriptions, and new ones get few: enough for most honest clients during a flood.

If each subscription is checked (`pubsub_common.security.subscription_guard`), the
subscriptions of a connection are known exactly.

``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from pubsub_common.limits.held_subscriptions import (
    Connection,
    Group,
    HeldSubscriptions,
    KnownOf,
    largest,
)
from pubsub_common.limits.port_flow import AFTER_FLOOD_S, PortFlow
from pubsub_common.limits.port_limits import NOTHING, PortLimits, Subscriptions

# New connections from the address of a flood are closed for this long: each would bring
# in as much as libzmq reads before the first check.
_REFUSED_S: Final = 1.0
# How long the broker may take to report the needs of registered subscribers, and when
# it is asked again.
_ASKED_S: Final = 0.5
_ASK_AGAIN_S: Final = 5.0
MAX_ADDRESSES: Final = 4096
# A subscriber that registers again after a restart of the broker declares its topics
# later than it subscribes.
_DECLARED_S: Final = 60.0


class Reason(enum.Enum):
    """The reason for closing a connection."""

    CONNECTIONS = "too many connections of one address"
    SILENT = "no subscription in time"
    SUBSCRIPTIONS = "too many subscriptions"
    FLOW = "too many subscriptions and questions in a short time"
    AFTER_FLOOD = "its address was flooding a moment ago"
    FILES = "open files run out, and this was the oldest idle connection"


class Closing(NamedTuple):
    """A connection to close."""

    fd: int
    address: str
    reason: Reason


class PortBudget:
    """Judges the connections of one port, by their descriptors."""

    def __init__(self, limits: PortLimits) -> None:
        self._limits = limits
        self._flow = PortFlow(limits)
        self._held = HeldSubscriptions(limits.handshake_bytes)
        self._connections: dict[int, Connection] = {}
        self._addresses: OrderedDict[str, Group] = OrderedDict()
        self._port = Group()
        # Connections without subscriptions, oldest first.
        self._silent: OrderedDict[int, Connection] = OrderedDict()
        self._declared = NOTHING
        self._declared_at = -math.inf
        # A subscriber may be registered that the broker has not reported yet: ask the
        # broker.
        self.asks = False

    @property
    def active(self) -> list[int]:
        """Connections with recent input."""
        return list(self._held.active)

    def __len__(self) -> int:
        return len(self._connections)

    def declare(self, declared: Subscriptions, now: float) -> bool:
        """Set the total needs of registered subscribers; returns whether they are
        larger than before. Smaller needs only apply after a minute."""
        before = self._declared.size
        more = declared.size > before
        if declared.size >= before or now - self._declared_at > _DECLARED_S:
            self._declared, self._declared_at = declared, now
        if more:
            # It was not a flood, but a subscriber that has just declared its topics.
            for group in self._addresses.values():
                group.flooded_at = group.closed_at = group.asked_at = -math.inf
        return more

    def accept(self, fd: int, address: str, now: float) -> list[Closing]:
        """A connection was accepted; returns it if it must be closed."""
        self.end(fd)
        group = self._group(address)
        connection = Connection(fd, address, (group, self._port), now)
        self._connections[fd] = self._silent[fd] = connection
        for each in connection.groups:
            each.connections += 1
        arrivals_at = self._limits.connection_rate.take(group.arrivals_at, now)
        if arrivals_at is None or group.connections > self._limits.connections:
            return [self._close(connection, Reason.CONNECTIONS)]
        group.arrivals_at = arrivals_at
        if now - group.closed_at < _REFUSED_S:
            return [self._close(connection, Reason.AFTER_FLOOD)]
        return []

    def end(self, fd: int) -> None:
        """The connection with this descriptor has closed."""
        connection = self._connections.pop(fd, None)
        if connection is None:
            return
        silent = self._silent.pop(fd, None) is not None
        connection.groups[0].subscribed -= not silent
        self._held.end(connection)
        for group in connection.groups:
            group.connections -= 1

    def trust(self, fd: int) -> None:
        """The connection belongs to a forwarder, which subscribes for all others, so it
        has the limits of the whole port."""
        connection = self._connections.get(fd)
        if connection is None or connection.trusted:
            return
        self._note_subscribed(connection)
        connection.groups[0].subscribed -= 1
        held = connection.count, connection.size
        connection.hold(0.0, 0.0)
        connection.groups[0].connections -= 1
        own = Group(connections=1, subscribed=1)
        connection.groups, connection.trusted = (own, connection.groups[1]), True
        connection.hold(*held)

    def look(
        self,
        received: Mapping[int, int],
        total: int | None,
        now: float,
        known: KnownOf | None = None,
    ) -> list[Closing]:
        """Check the total input through these connections, and the number of
        subscriptions of the port; None if unknown. ``known`` returns the certain state.
        Returns the connections to close."""
        grown: list[tuple[Connection, int]] = []
        for fd, size in received.items():
            connection = self._connections.get(fd)
            if connection is None or size == connection.received:
                continue
            new = self._held.receive(connection, size)
            if self._limits.is_subscribed(size):
                self._note_subscribed(connection)
            told = None if known is None else known(fd)
            if told is not None and told.trusted:
                self.trust(fd)
            if new:
                grown.append((connection, new))
        if known is not None:
            self._held.take_known(known)
        elif total is not None:
            self._held.put_down(total)
        flooding = [
            each
            for each, new in grown
            if self._flow.is_over(each, new, self._declared, now)
        ]
        closings = [self._close_flooding(each, Reason.FLOW, now) for each in flooding]
        closings += self._close_large(now)
        self._held.fade()
        return closings

    def silent(self, now: float) -> list[Closing]:
        """Connections that have not subscribed in time."""
        found: list[Closing] = []
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            connection = next(iter(self._silent.values()))
            found.append(self._close(connection, Reason.SILENT))
        return found

    def unseen(self, now: float) -> list[int]:
        """Connections that have had time to subscribe, without any observed input:
        check them before `silent`."""
        due = now - self._limits.first_s
        older = (fd for fd, each in self._silent.items() if each.accepted_at <= due)
        return list(older)

    def sent(self, fd: int, size: int) -> None:
        """This many bytes were sent to a connection: it may have subscribed with
        another version of ZMTP."""
        connection = self._silent.get(fd)
        if connection and self._limits.is_subscribed(connection.received, size):
            self._note_subscribed(connection)

    def next_deadline(self) -> float | None:
        """When `silent` is due; None if it is not."""
        for connection in self._silent.values():
            return connection.accepted_at + self._limits.first_s
        return None

    def spare(self, idle_s: Mapping[int, float]) -> list[Closing]:
        """The connection to close when open files run out: the oldest without
        subscriptions; otherwise, of the address with most connections, the one with the
        longest silence (``idle_s``, which may be empty)."""
        if self._silent:
            return [self._close(next(iter(self._silent.values())), Reason.FILES)]
        found = [self._connections[fd] for fd in idle_s if fd in self._connections]
        if not found:
            return []
        idlest = max(found, key=lambda each: (_of_address(each), idle_s[each.fd]))
        return [self._close(idlest, Reason.FILES)]

    # Private

    def _note_subscribed(self, connection: Connection) -> None:
        if self._silent.pop(connection.fd, None) is not None:
            connection.groups[0].subscribed += 1

    def _group(self, address: str) -> Group:
        group = self._addresses.get(address)
        if group is None:
            group = self._addresses[address] = Group()
            if len(self._addresses) > MAX_ADDRESSES:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(address)
        return group

    def _close_large(self, now: float) -> list[Closing]:
        """Close connections above their own limit; if there are none, the largest one
        of an address, or of the port, above its limit."""
        most = self._limits.of_connection(self._declared)
        active = [each for each in self._held.active.values() if not each.trusted]
        large = [e for e in active if e.count > most.number or e.size > most.size]
        connections = self._connections.values()
        if not large:
            groups = {id(each.groups[0]): each.groups[0] for each in active}
            for group in groups.values():
                allowed = self._limits.of_address(group.connections, self._declared)
                large += filter(None, [largest(group, allowed, connections)])
        if not large:
            allowed = self._limits.of_port(self._port.connections, self._declared)
            large += filter(None, [largest(self._port, allowed, connections)])
        return [
            self._close_flooding(each, Reason.SUBSCRIPTIONS, now)
            for each in large
            if not self._may_be_declared(each.groups[0], now)
        ]

    def _may_be_declared(self, group: Group, now: float) -> bool:
        """Whether to wait for the broker's answer before closing a connection."""
        most = self._limits.while_asked(self._declared)
        if (
            now - group.flooded_at <= AFTER_FLOOD_S
            or group.count > most.number
            or group.size > most.size
        ):
            return False
        if now - group.asked_at > _ASK_AGAIN_S:
            group.asked_at = now
        waits = now - group.asked_at <= _ASKED_S
        self.asks = self.asks or waits
        return waits

    def _close_flooding(
        self, connection: Connection, reason: Reason, now: float
    ) -> Closing:
        # The first one of a series counts, for connections from before it.
        group = connection.groups[0]
        group.closed_at = now
        self.asks = True  # before it reconnects
        if now - group.flooded_at > AFTER_FLOOD_S:
            group.flooded_at = now
        return self._close(connection, reason)

    def _close(self, connection: Connection, reason: Reason) -> Closing:
        self.end(connection.fd)
        return Closing(connection.fd, connection.address, reason)


def _of_address(connection: Connection) -> int:
    return connection.groups[0].connections
