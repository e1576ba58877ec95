"""Limits what each IP address may send to the control port.

Theory of operation
-------------------
Each address has token buckets: of connections, control messages and their bytes,
registrations, status requests and malformed messages. A message for which there is no
token is not served: a registration is answered with "try again later", everything else
costs the broker no more than the look at it. A client that reads that answer comes back
after about a second. A connection that goes on nevertheless is closed, and what it has
sent is dropped. After several closed connections of one address, the next ones are left
open and not read: to accept a connection costs more than to read from one.

The buckets belong to addresses, since a new connection is cheap for the sender. The
tokens for refused messages belong to connections, since one address may be that of many
clients.

The memory for this is bounded: beyond a number of addresses and connections, those that
were quiet for the longest time are forgotten. ``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from typing import Final

from pubsub_broker.limits.address_limits import LimitKind, Limits
from pubsub_common.limits.token_bucket import TokenBucket
from pubsub_common.logs.throttle import LogThrottle

# What a status report costs before it is known how long it is.
_STATUS_BYTES: Final = 4096
# Refused messages of one connection: a client has one, or two, in a second.
_REFUSALS: Final = TokenBucket(per_s=5.0, burst=50)
# Connections of one address that are closed for what they send.
_CLOSINGS: Final = TokenBucket(per_s=0.5, burst=20)
# One frame as long as this costs as much as a connection.
_LARGE_BYTES: Final = 64 * 1024
# What a request takes that nobody needs to bound by time, with something to spare.
_USUAL_WORK_S: Final = 0.002
# The most that one request is charged: a pause of the garbage collector is nobody's fault.
_MOST_WORK_S: Final = 0.1
MAX_ADDRESSES: Final = 4096
MAX_CONNECTIONS: Final = 4096

_NAMES: Final = {
    LimitKind.CONNECTIONS: "connections",
    LimitKind.MESSAGES: "control messages",
    LimitKind.BYTES: "control messages (by their length)",
    LimitKind.REGISTRATIONS: "registrations",
    LimitKind.STATUS: "requests for the status",
    LimitKind.MALFORMED: "malformed messages",
    LimitKind.WORK: "requests (by the time that earlier ones took)",
}


class Verdict(enum.Enum):
    """What to do with a message: serve it, refuse it, refuse it and close its connection,
    or drop it, since its connection is being closed."""

    SERVE = enum.auto()
    REFUSE = enum.auto()
    CLOSE = enum.auto()
    DROP = enum.auto()


class _AddressState:
    """What is known of one address."""

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
        self.closings_at = -math.inf  # as `TokenBucket.take` has it
        # Since the last log line about it.
        self.violations: dict[LimitKind, int] = {}
        self.closed = 0


class AddressLimiter:
    """Judges what comes from each address, by the same limits for all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._addresses: OrderedDict[str, _AddressState] = OrderedDict()
        # By connection: its tokens for refused messages; infinity: it was closed.
        self._refusals: OrderedDict[bytes, float] = OrderedDict()
        # Addresses with violations that are not logged yet.
        self._unlogged: dict[str, None] = {}
        self._throttle = LogThrottle(MAX_ADDRESSES)

    def connected(self, address: str, now: float) -> bool:
        """Another connection of ``address``; False: it is to be closed."""
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
        """A connection that was told to `connected` has ended."""
        known = self._addresses.get(address)
        if known is not None and known.connections:
            known.connections -= 1

    def message(self, address: str, peer: bytes, size: int, now: float) -> Verdict:
        """A message of connection ``peer`` came in; before anybody looks into it."""
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
        """A message turned out to be of this kind."""
        known = self._known(address)
        cost = _STATUS_BYTES if kind is LimitKind.STATUS else 1.0
        if self._take(known, kind, now, cost):
            return Verdict.SERVE
        return self._refuse(address, known, kind, peer, now)

    def reported(self, address: str, size: int, now: float) -> None:
        """A status report of so many bytes was made for this address."""
        known = self._known(address)
        bucket = self._limits.buckets[LimitKind.STATUS]
        empty_at = known.empty_at[LimitKind.STATUS]
        known.empty_at[LimitKind.STATUS] = bucket.charge(empty_at, now, size)

    def worked(self, address: str, seconds: float, now: float) -> None:
        """A request of this address took so long. What takes no longer than usual does not
        count: other limits are for the number of these."""
        if seconds > _USUAL_WORK_S:
            known = self._known(address)
            bucket = self._limits.buckets[LimitKind.WORK]
            known.empty_at[LimitKind.WORK] = bucket.charge(
                known.empty_at[LimitKind.WORK], now, min(seconds, _MOST_WORK_S)
            )

    def may_work(self, address: str, peer: bytes, now: float) -> Verdict:
        """A request may take long, as earlier ones of this address did."""
        known = self._known(address)
        bucket = self._limits.buckets[LimitKind.WORK]
        if not bucket.is_spent(known.empty_at[LimitKind.WORK], now):
            return Verdict.SERVE
        return self._refuse(address, known, LimitKind.WORK, peer, now)

    def tick(self, now: float) -> list[str]:
        """The log lines that are due at ``now``: for each address beyond its limits one
        at once, and one per interval for all violations since."""
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
        """When `tick` is due; None while nothing is."""
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
        # Less with an address whose connections were closed just now: it comes again.
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
