"""Limits what each IP address may send to the control port.

Theory of operation
-------------------
Each address has token buckets for connections, control messages and their bytes,
registrations, status requests and malformed messages. A message without a token is not
served: a registration gets the reply "try again later", and everything else is dropped
at almost no cost. A client that reads that reply retries after about a second. A
connection that continues anyway is closed, and its unread messages are dropped. After
several closed connections of one address, the next ones stay open but are not read, as
it costs more to accept a connection than to read from one.

The buckets belong to addresses, since a new connection is cheap for the sender. The
tokens for rejected messages belong to connections, since one address may serve many
clients.

The memory is bounded: beyond a number of addresses and connections, those with the
longest silence are forgotten. ``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from typing import Final

from pubsub_broker.limits.address_limits import LimitKind, Limits
from pubsub_common.limits.token_bucket import TokenBucket
from pubsub_common.logs.throttle import LogThrottle

# The assumed cost of a status report before its length is known.
_STATUS_BYTES: Final = 4096
# Rejected messages of one connection: a normal client has one or two per second.
_REFUSALS: Final = TokenBucket(per_s=5.0, burst=50)
# Connections of one address that are closed because of their messages.
_CLOSINGS: Final = TokenBucket(per_s=0.5, burst=20)
# A frame of this length costs as much as a connection.
_LARGE_BYTES: Final = 64 * 1024
# The time of a normal request, with a margin; it is not charged.
_USUAL_WORK_S: Final = 0.002
# The largest charge for one request: a pause of the garbage collector is not the
# client's fault.
_MOST_WORK_S: Final = 0.1
MAX_ADDRESSES: Final = 4096
MAX_CONNECTIONS: Final = 4096

_NAMES: Final = {
    LimitKind.CONNECTIONS: "connections",
    LimitKind.MESSAGES: "control messages",
    LimitKind.BYTES: "control messages (by length)",
    LimitKind.REGISTRATIONS: "registrations",
    LimitKind.STATUS: "status requests",
    LimitKind.MALFORMED: "malformed messages",
    LimitKind.WORK: "requests (by processing time)",
}


class Verdict(enum.Enum):
    """The decision on a message: serve it, reject it, reject it and close its
    connection, or drop it as its connection is being closed."""

    SERVE = enum.auto()
    REFUSE = enum.auto()
    CLOSE = enum.auto()
    DROP = enum.auto()


class _AddressState:
    """The state of one address."""

    __slots__ = (
        "closed",
        "closings_at",
        "connections",
        "empty_at",
        "violations",
    )

    def __init__(self) -> None:
        self.empty_at = [-math.inf] * len(LimitKind)
        self.connections = 0
        self.closings_at = -math.inf  # in the form of `TokenBucket.take`
        # Since the last log line about it.
        self.violations: dict[LimitKind, int] = {}
        self.closed = 0


class AddressLimiter:
    """Judges the messages of each address, by the same limits for all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._addresses: OrderedDict[str, _AddressState] = OrderedDict()
        # By connection: its tokens for rejected messages; infinity: it was closed.
        self._refusals: OrderedDict[bytes, float] = OrderedDict()
        # Addresses with violations that are not logged yet.
        self._unlogged: dict[str, None] = {}
        self._throttle = LogThrottle(MAX_ADDRESSES)

    def connected(self, address: str, now: float) -> bool:
        """Another connection of ``address``; returns False if it must be closed."""
        known = self._known(address)
        known.connections += 1
        if known.connections <= self._limits.connections and self._take(
            known, LimitKind.CONNECTIONS, now, 1.0
        ):
            return True
        self._note(address, known, LimitKind.CONNECTIONS, now)
        known.closed += 1
        return False

    def disconnected(self, address: str) -> None:
        """A connection that was passed to `connected` has closed."""
        known = self._addresses.get(address)
        if known is not None and known.connections:
            known.connections -= 1

    def message(self, address: str, peer: bytes, size: int, now: float) -> Verdict:
        """A message of connection ``peer`` arrived; call this before reading it."""
        if self._refusals and self._refusals.get(peer) == math.inf:
            return Verdict.DROP
        known = self._known(address)
        if not self._take(known, LimitKind.BYTES, now, size):
            return self._refuse(
                address, known, LimitKind.BYTES, peer, now, size // _LARGE_BYTES
            )
        if not self._take(known, LimitKind.MESSAGES, now, 1.0):
            return self._refuse(address, known, LimitKind.MESSAGES, peer, now)
        return Verdict.SERVE

    def request(
        self, address: str, peer: bytes, kind: LimitKind, now: float
    ) -> Verdict:
        """A message was decoded, and is of this kind."""
        known = self._known(address)
        cost = _STATUS_BYTES if kind is LimitKind.STATUS else 1.0
        if self._take(known, kind, now, cost):
            return Verdict.SERVE
        return self._refuse(address, known, kind, peer, now)

    def reported(self, address: str, size: int, now: float) -> None:
        """A status report of this many bytes was made for this address."""
        known = self._known(address)
        bucket = self._limits.buckets[LimitKind.STATUS]
        empty_at = known.empty_at[LimitKind.STATUS]
        known.empty_at[LimitKind.STATUS] = bucket.charge(empty_at, now, size)

    def worked(self, address: str, seconds: float, now: float) -> None:
        """A request of this address took this long. A normal duration is not charged:
        other limits bound the number of these requests."""
        if seconds > _USUAL_WORK_S:
            known = self._known(address)
            bucket = self._limits.buckets[LimitKind.WORK]
            known.empty_at[LimitKind.WORK] = bucket.charge(
                known.empty_at[LimitKind.WORK], now, min(seconds, _MOST_WORK_S)
            )

    def may_work(self, address: str, peer: bytes, now: float) -> Verdict:
        """Whether a request may take long, after the earlier ones of this address."""
        known = self._known(address)
        bucket = self._limits.buckets[LimitKind.WORK]
        if not bucket.is_spent(known.empty_at[LimitKind.WORK], now):
            return Verdict.SERVE
        return self._refuse(address, known, LimitKind.WORK, peer, now)

    def tick(self, now: float) -> list[str]:
        """The log lines that are due at ``now``: one immediately for each address
        beyond its limits, and one per interval for all violations since."""
        lines = []
        for address in list(self._unlogged):
            known = self._addresses.get(address)
            if known is None:
                del self._unlogged[address]
            elif self._throttle.allows(address, now):
                del self._unlogged[address]
                lines.append(_line(address, known))
                known.violations = {}
                known.closed = 0
        return lines

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        times = [self._throttle.next_at(address) for address in self._unlogged]
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

    def _take(
        self, known: _AddressState, kind: LimitKind, now: float, cost: float
    ) -> bool:
        bucket = self._limits.buckets[kind]
        empty_at = bucket.take(known.empty_at[kind], now, cost)
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
        extra: int = 0,
    ) -> Verdict:
        self._note(address, known, kind, now)
        used = self._refusals.get(peer, -math.inf)
        # Less for an address that had connections closed recently: it reconnects.
        left = _REFUSALS.take(used, now, 1.0 + extra + known.closed)
        self._refusals[peer] = math.inf if left is None else left
        self._refusals.move_to_end(peer)
        if len(self._refusals) > MAX_CONNECTIONS:
            self._refusals.popitem(last=False)
        if left is not None:
            return Verdict.REFUSE
        closings_at = _CLOSINGS.take(known.closings_at, now)
        if closings_at is None:
            return Verdict.DROP
        known.closings_at = closings_at
        known.closed += 1
        return Verdict.CLOSE

    def _note(
        self, address: str, known: _AddressState, kind: LimitKind, now: float
    ) -> None:
        known.violations[kind] = known.violations.get(kind, 0) + 1
        self._unlogged[address] = None


def _line(address: str, known: _AddressState) -> str:
    what = ", ".join(
        f"{count} {_NAMES[kind]}" for kind, count in sorted(known.violations.items())
    )
    closed = known.closed
    ended = (
        f"; {closed} connection{'' if closed == 1 else 's'} closed" if closed else ""
    )
    return f"rate limit exceeded by {address}: rejected {what}{ended}"
