"""The limits of a port for subscribers, and the needs of registered subscribers beyond
them."""

from __future__ import annotations

import dataclasses
from typing import Final, NamedTuple

from pubsub_common.defaults import (
    FIRST_SUBSCRIPTION_S,
    QUESTION_BYTES_PER_SECOND,
    SUBSCRIPTION_BYTES,
    SUBSCRIPTIONS,
)
from pubsub_common.limits.token_bucket import TokenBucket

# For each topic a subscriber may subscribe to its events, to its ready topic and to the
# publisher's position, and have one pending request.
SUBSCRIPTIONS_PER_TOPIC: Final = 4
# The bytes of these four beyond the topic's name, with ZeroMQ's framing: 13 + 36 + 14 +
# 74, and 7 more for each if the name is long.
BYTES_PER_TOPIC: Final = 165
# The subscriptions that each connection adds to the limit of its address: thousands of
# subscribers with a few topics on one machine, or behind one gateway, come to a port
# together.
_SUBSCRIPTIONS_PER_CONNECTION: Final = 8
_BYTES_PER_CONNECTION: Final = 512
# When a connection closes, libzmq walks through all subscriptions of all peers. So an
# address with more connections may have fewer additional subscriptions.
_FULL_CONNECTIONS: Final = 8
# While the broker is asked, unknown clients may hold this multiple of their limit: a
# subscriber with the largest number of topics, with long names.
_WHILE_ASKED: Final = 4
# This many addresses may use the full limit of one address at the same time.
_FULL_ADDRESSES: Final = 16
# ZeroMQ's handshake without keys has at most 92 bytes; with keys at least 551.
_PLAIN_HANDSHAKE_BYTES: Final = 92
_CURVE_HANDSHAKE_BYTES: Final = 550
# The handshake of ZMTP 2, of JeroMQ and libzmq 3, for a peer without a name.
_ZMTP2_HANDSHAKE_BYTES: Final = 14
# The bytes that an XPUB socket without keys sends in the handshake of ZMTP 3; the
# kernel counts one more.
_OWN_HANDSHAKE_BYTES: Final = range(92, 94)
# Like the control port: clients that come together after an outage of the broker are
# not a flood.
_CONNECTION_RATE: Final = TokenBucket(per_s=1000.0, burst=10_000)


class Subscriptions(NamedTuple):
    """The number of subscriptions, and their bytes on the wire."""

    number: int
    size: int

    def __add__(self, other: object) -> Subscriptions:
        if not isinstance(other, Subscriptions):
            return NotImplemented
        return Subscriptions(self.number + other.number, self.size + other.size)

    def times(self, times: int) -> Subscriptions:
        """This multiple."""
        return Subscriptions(self.number * times, self.size * times)


NOTHING: Final = Subscriptions(0, 0)
_EACH: Final = Subscriptions(_SUBSCRIPTIONS_PER_CONNECTION, _BYTES_PER_CONNECTION)
_BASE: Final = Subscriptions(SUBSCRIPTIONS, SUBSCRIPTION_BYTES)


def needed_for(topics: int, name_bytes: int) -> Subscriptions:
    """The needs of a subscriber with this many topics, and this total length of their
    names."""
    return Subscriptions(
        SUBSCRIPTIONS_PER_TOPIC * topics,
        SUBSCRIPTIONS_PER_TOPIC * name_bytes + BYTES_PER_TOPIC * topics,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class PortLimits:
    """The limits of one connection's subscriptions, beyond the declared topics of
    registered subscribers (``base``), the connections of an address, and the bytes that
    a connection must have sent after ``first_s`` seconds. ``asks``: another process
    knows the declared topics, and must be asked."""

    connections: int
    handshake_bytes: int
    base: Subscriptions = _BASE
    first_s: float = FIRST_SUBSCRIPTION_S
    connection_rate: TokenBucket = _CONNECTION_RATE
    asks: bool = True

    def is_subscribed(self, received: int, sent: int | None = None) -> bool:
        """Whether these bytes from a peer contain a subscription. If the ``sent`` bytes
        are not the handshake of ZMTP 3, the peer uses ZMTP 2, with a shorter handshake,
        which leaves room for a subscription. (libzmq closes unfinished handshakes.)"""
        if received > self.handshake_bytes:
            return True
        if sent is None or self.handshake_bytes > _PLAIN_HANDSHAKE_BYTES:
            return False
        return received > _ZMTP2_HANDSHAKE_BYTES and sent not in _OWN_HANDSHAKE_BYTES

    def of_connection(self, declared: Subscriptions) -> Subscriptions:
        """The limit for one connection."""
        return self.base + declared

    def of_address(self, connections: int, declared: Subscriptions) -> Subscriptions:
        """The limit for all connections of one address."""
        share = max(1, connections // _FULL_CONNECTIONS)
        base = Subscriptions(self.base.number // share, self.base.size // share)
        return base + _EACH.times(connections) + declared

    def while_asked(self, declared: Subscriptions) -> Subscriptions:
        """The limit for one address until the broker has answered whether its clients
        are registered."""
        return self.base.times(_WHILE_ASKED if self.asks else 1) + declared

    def of_port(self, connections: int, declared: Subscriptions) -> Subscriptions:
        """The limit for all connections."""
        base = self.base.times(_FULL_ADDRESSES)
        return base + _EACH.times(connections) + declared

    def flow(self, declared: Subscriptions, full: int = 1) -> TokenBucket:
        """The input limit of one connection: twice all its subscriptions, since it
        subscribes and unsubscribes a request for each topic when events of all are
        missing; and then the requests of a subscriber that misses events all the time.
        ``full``: for this many connections."""
        burst = 2 * full * self.while_asked(declared).size
        return TokenBucket(full * float(QUESTION_BYTES_PER_SECOND), float(burst))

    def flow_of_address(self, declared: Subscriptions) -> TokenBucket:
        """The input limit for all connections of one address."""
        return self.flow(declared, _FULL_ADDRESSES)


def limits_of_port(clients: int, *, secure: bool, asks: bool = True) -> PortLimits:
    """The limits of a port for this many clients per address; ``asks``: see
    `PortLimits`."""
    # Lost connections that are not yet detected.
    connections = clients + clients // 4 + 100
    handshake = _CURVE_HANDSHAKE_BYTES if secure else _PLAIN_HANDSHAKE_BYTES
    return PortLimits(connections, handshake, asks=asks)
