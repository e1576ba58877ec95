"""Which address asks for more than its share, and what then.

Theory of operation
-------------------
Each address has buckets that refill with time: of connections, control messages and
their bytes, registrations, status reports and malformed messages. What goes beyond is
not served: a registration is answered with "try again later", all else costs the broker
no more than the look at it. A client that is told so comes back after a second or so. A
connection that goes on nevertheless is closed, and what it still sends is thrown away. Who
comes again at once and goes on is, after some such times, not closed any more but left
open and not listened to: to accept a connection costs more than to read from one.

Budgets are of addresses, as a new connection is for nothing; the patience with refused
messages is of connections, since one address may be that of many clients.

What is remembered is bounded: of addresses and connections beyond that, those are
forgotten that were quiet for the longest time. ``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from typing import Final

from pubsub_broker.limits.token_bucket import LimitKind, Limits, TokenBucket
from pubsub_common.logs.throttle import LogThrottle

# A report costs as much as there are clients to tell of; that of so many is one request.
_CLIENTS_PER_STATUS: Final = 100
# Refused messages of one connection: a client has one, or two, in a second.
_PATIENCE: Final = TokenBucket(per_s=5.0, burst=50)
# Connections of one address that are closed for what they send.
_CLOSING: Final = TokenBucket(per_s=0.5, burst=20)
# One frame as long as this costs as much as a connection.
_LONG: Final = 64 * 1024
MAX_ADDRESSES: Final = 4096
MAX_CONNECTIONS: Final = 4096

_WORDS: Final = {
    LimitKind.CONNECTIONS: "connections",
    LimitKind.MESSAGES: "control messages",
    LimitKind.BYTES: "control messages (by their length)",
    LimitKind.REGISTRATIONS: "registrations",
    LimitKind.STATUS: "requests for the status",
    LimitKind.MALFORMED: "malformed messages",
}


class Verdict(enum.Enum):
    """What to do with a message: serve it, or not, or close its connection, too; and
    throw away what had come before it was closed."""

    SERVE = enum.auto()
    REFUSE = enum.auto()
    CLOSE = enum.auto()
    DROP = enum.auto()


class _AddressState:
    """What is known of one."""

    __slots__ = (
        "closed",
        "closings_at",
        "connections",
        "empty_at",
        "offences",
    )

    def __init__(self) -> None:
        self.empty_at = [-math.inf] * len(LimitKind)
        self.connections = 0
        self.closings_at = -math.inf  # as `TokenBucket.spend` has it
        # Since the last line about it.
        self.offences: dict[LimitKind, int] = {}
        self.closed = 0


class AddressLimiter:
    """Judges what comes from each address, by the same limits for all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._addresses: OrderedDict[str, _AddressState] = OrderedDict()
        # By connection: when its patience is used up; infinity: it was closed.
        self._strikes: OrderedDict[bytes, float] = OrderedDict()
        # Addresses about which there is something to say.
        self._noted: dict[str, None] = {}
        self._throttle = LogThrottle(max_keys=MAX_ADDRESSES)

    def connected(self, address: str, now: float) -> bool:
        """Another connection of ``address``; False: it is to be closed."""
        known = self._known(address)
        known.connections += 1
        if known.connections <= self._limits.connections and self._spend(
            known, LimitKind.CONNECTIONS, now, 1.0
        ):
            return True
        self._note(address, known, LimitKind.CONNECTIONS, now)
        known.closed += 1
        return False

    def disconnected(self, address: str) -> None:
        """A connection that was told to `connected` has ended."""
        known = self._addresses.get(address)
        if known is not None and known.connections:
            known.connections -= 1

    def message(self, address: str, peer: bytes, size: int, now: float) -> Verdict:
        """A message of connection ``peer`` came in; before anybody looks into it."""
        if self._strikes and self._strikes.get(peer) == math.inf:
            return Verdict.DROP
        known = self._known(address)
        if not self._spend(known, LimitKind.BYTES, now, size):
            return self._refuse(
                address, known, LimitKind.BYTES, peer, now, size // _LONG
            )
        if not self._spend(known, LimitKind.MESSAGES, now, 1.0):
            return self._refuse(address, known, LimitKind.MESSAGES, peer, now)
        return Verdict.SERVE

    def request(
        self, address: str, peer: bytes, kind: LimitKind, now: float, clients: int = 0
    ) -> Verdict:
        """A message turned out to be of this kind; serving it means to look at so many
        clients."""
        known = self._known(address)
        if self._spend(known, kind, now, 1.0 + clients / _CLIENTS_PER_STATUS):
            return Verdict.SERVE
        return self._refuse(address, known, kind, peer, now)

    def tick(self, now: float) -> list[str]:
        """The lines for the log that are due at ``now``: of each address that went beyond
        its limits one at once, and one per interval for all that came since."""
        lines = []
        for address in list(self._noted):
            known = self._addresses.get(address)
            if known is None:
                del self._noted[address]
            elif self._throttle.allows(address, now):
                lines.append(_line(address, known))
                known.offences = {}
                known.closed = 0
                del self._noted[address]
        return lines

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
        times = (self._throttle.next_at(address) for address in self._noted)
        return min((-math.inf if at is None else at for at in times), default=None)

    def _known(self, address: str) -> _AddressState:
        known = self._addresses.get(address)
        if known is None:
            known = self._addresses[address] = _AddressState()
            if len(self._addresses) > MAX_ADDRESSES:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(address)
        return known

    def _spend(
        self, known: _AddressState, kind: LimitKind, now: float, cost: float
    ) -> bool:
        bucket = self._limits.buckets[kind]
        empty_at = bucket.spend(known.empty_at[kind], now, cost)
        if empty_at is None:
            return False
        known.empty_at[kind] = empty_at
        return True

    def _refuse(
        self,
        address: str,
        known: _AddressState,
        kind: LimitKind,
        peer: bytes,
        now: float,
        strikes: int = 0,
    ) -> Verdict:
        self._note(address, known, kind, now)
        used = self._strikes.get(peer, -math.inf)
        # Less with an address whose connections were closed just now: it comes again.
        left = _PATIENCE.spend(used, now, 1.0 + strikes + known.closed)
        self._strikes[peer] = math.inf if left is None else left
        self._strikes.move_to_end(peer)
        if len(self._strikes) > MAX_CONNECTIONS:
            self._strikes.popitem(last=False)
        if left is not None:
            return Verdict.REFUSE
        closings_at = _CLOSING.spend(known.closings_at, now)
        if closings_at is None:
            return Verdict.DROP
        known.closings_at = closings_at
        known.closed += 1
        return Verdict.CLOSE

    def _note(
        self, address: str, known: _AddressState, kind: LimitKind, now: float
    ) -> None:
        known.offences[kind] = known.offences.get(kind, 0) + 1
        self._noted[address] = None


def _line(address: str, known: _AddressState) -> str:
    what = ", ".join(
        f"{count} {_WORDS[kind]}" for kind, count in sorted(known.offences.items())
    )
    closed = known.closed
    ended = (
        f"; {closed} connection{'' if closed == 1 else 's'} closed" if closed else ""
    )
    return f"{address} is beyond its limits: {what} not served{ended}"
