"""The limits of a port that subscribers connect to, and what registered subscribers need
beyond them."""

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

# For each topic a subscriber may be subscribed to its events, to its ready topic and to the
# publisher's position, and have asked one question.
SUBSCRIPTIONS_PER_TOPIC: Final = 4
# What these four have beside the topic's name, with ZeroMQ's framing: 13 + 36 + 14 + 74, and
# 7 more for each where the name is long.
BYTES_PER_TOPIC: Final = 165
# What each connection adds to what its address may be subscribed to: thousands of subscribers
# with a few topics on one machine, or behind one gateway, come to a port together.
_SUBSCRIPTIONS_PER_CONNECTION: Final = 8
_BYTES_PER_CONNECTION: Final = 512
# When a connection ends, libzmq walks through all that is subscribed to, by whomever. So the
# more connections an address has, the less it may hold beside that.
_FULL_CONNECTIONS: Final = 8
# So many times what is for those of whom nobody has heard may be held while the broker is asked
# about them: a subscriber of as many topics as there may be, with long names.
_WHILE_ASKED: Final = 4
# So many addresses may use all that one may, at the same time.
_FULL_ADDRESSES: Final = 16
# ZeroMQ's handshake without keys is 92 bytes at most; with keys it is 551 at least.
_PLAIN_HANDSHAKE_BYTES: Final = 92
_CURVE_HANDSHAKE_BYTES: Final = 550
# As the control port: clients that all come at once, after the broker was away, are no flood.
_CONNECTION_RATE: Final = TokenBucket(per_s=1000.0, burst=10_000)


class Subscriptions(NamedTuple):
    """Subscriptions: how many, and how many bytes they are on the wire."""

    number: int
    size: int

    def __add__(self, other: object) -> Subscriptions:
        if not isinstance(other, Subscriptions):
            return NotImplemented
        return Subscriptions(self.number + other.number, self.size + other.size)

    def times(self, times: int) -> Subscriptions:
        """So many of these."""
        return Subscriptions(self.number * times, self.size * times)


NOTHING: Final = Subscriptions(0, 0)
_EACH: Final = Subscriptions(_SUBSCRIPTIONS_PER_CONNECTION, _BYTES_PER_CONNECTION)
_BASE: Final = Subscriptions(SUBSCRIPTIONS, SUBSCRIPTION_BYTES)


def needed_for(topics: int, name_bytes: int) -> Subscriptions:
    """What a subscriber of so many topics needs, whose names are so long together."""
    return Subscriptions(
        SUBSCRIPTIONS_PER_TOPIC * topics,
        SUBSCRIPTIONS_PER_TOPIC * name_bytes + BYTES_PER_TOPIC * topics,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class PortLimits:
    """What may be subscribed to through one connection, beyond what registered subscribers
    have declared (``base``), how many connections an address may have, and how many
    bytes of its first must have come after ``first_s`` seconds. ``asks``: somebody else knows
    what is declared, and must be asked."""

    connections: int
    handshake_bytes: int
    base: Subscriptions = _BASE
    first_s: float = FIRST_SUBSCRIPTION_S
    connection_rate: TokenBucket = _CONNECTION_RATE
    asks: bool = True

    def of_connection(self, declared: Subscriptions) -> Subscriptions:
        """What one connection may be subscribed to."""
        return self.base + declared

    def of_address(self, connections: int, declared: Subscriptions) -> Subscriptions:
        """What the connections of one address may be subscribed to together."""
        share = max(1, connections // _FULL_CONNECTIONS)
        base = Subscriptions(self.base.number // share, self.base.size // share)
        return base + _EACH.times(connections) + declared

    def while_asked(self, declared: Subscriptions) -> Subscriptions:
        """What those of one address may be subscribed to until the broker has told whether
        they are registered."""
        return self.base.times(_WHILE_ASKED if self.asks else 1) + declared

    def of_port(self, connections: int, declared: Subscriptions) -> Subscriptions:
        """What all connections may be subscribed to together."""
        base = self.base.times(_FULL_ADDRESSES)
        return base + _EACH.times(connections) + declared

    def flow(self, declared: Subscriptions, full: int = 1) -> TokenBucket:
        """How much may come in through one connection: twice all that it may be
        subscribed to, since it asks a question for each topic, and takes it back, when
        events of all are missing; and then the questions of a subscriber that
        misses events all the time. ``full``: through so many connections."""
        burst = 2 * full * self.while_asked(declared).size
        return TokenBucket(full * float(QUESTION_BYTES_PER_SECOND), float(burst))

    def flow_of_address(self, declared: Subscriptions) -> TokenBucket:
        """How much may come in through all connections of one address."""
        return self.flow(declared, _FULL_ADDRESSES)


def limits_of_port(clients: int, *, secure: bool, asks: bool = True) -> PortLimits:
    """The limits of a port at which an address may have so many clients; ``asks`` as in
    `PortLimits`."""
    # Those that are lost and not yet known to be.
    connections = clients + clients // 4 + 100
    handshake = _CURVE_HANDSHAKE_BYTES if secure else _PLAIN_HANDSHAKE_BYTES
    return PortLimits(connections, handshake, asks=asks)
