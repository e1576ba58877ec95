"""Which addresses may connect to a port at present.

Each connection of a stranger makes it longer for libzmq to forget the others. So an address has
as many as there are registered subscribers, and a few more (`PortLimits.let_in`).

Whoever is disconnected for a flood comes back at once, with the same. To disconnect it again
costs as much as the connection had time to send, and a walk through all that libzmq keeps. So
for half a minute an address may make only a few connections a second.

``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from pubsub_common.limits.token_bucket import TokenBucket

AFTER_FLOOD_S: Final = 30.0
# Those that were let in count so long, whether they have subscribed or not.
_RECENT_S: Final = 1.0
# Of one address: honest clients, which try again ten times a second, and the flood's.
_CONNECTIONS: Final = TokenBucket(per_s=2.0, burst=4.0)
MAX_ADDRESSES: Final = 4096


class AddressGate:
    """Floods are told by one thread, and another one asks: each step is one operation on a
    dictionary."""

    def __init__(self) -> None:
        self._flooded_at: dict[str, float] = {}
        self._used: dict[str, float] = {}  # as `TokenBucket.take` has it
        # When connections of an address were let in of late, and last refused.
        self._recent: dict[str, deque[float]] = {}
        self._refused_at: dict[str, float] = {}

    def flooded(self, address: str, now: float) -> None:
        """A flood came from there."""
        if len(self._flooded_at) >= MAX_ADDRESSES:
            self._flooded_at = {}
        self._flooded_at[address] = now

    def forgive(self) -> None:
        """It was none, but somebody whom the broker has told of by now."""
        self._flooded_at = {}

    def has_refused(self, address: str, now: float) -> bool:
        """Whether connections of an address wait in vain for an answer: libzmq does not
        tell which these are."""
        return now - self._refused_at.get(address, -math.inf) < 2 * _RECENT_S

    def admits(self, address: str, now: float, subscribed: int, most: int) -> bool:
        """Whether another connection may be made from there, which has so many through
        which somebody has subscribed, and may have ``most``."""
        if len(self._recent) > MAX_ADDRESSES:
            self._recent, self._refused_at = {}, {}
        recent = self._recent.setdefault(address, deque())
        while recent and now - recent[0] > _RECENT_S:
            recent.popleft()
        room = subscribed + len(recent) < most
        if room and self._admits_flood(address, now):
            recent.append(now)
            return True
        self._refused_at[address] = now
        return False

    def _admits_flood(self, address: str, now: float) -> bool:
        flooded_at = self._flooded_at.get(address)
        if flooded_at is None or now - flooded_at > AFTER_FLOOD_S:
            self._used.pop(address, None)
            return True
        used = _CONNECTIONS.take(self._used.get(address, -math.inf), now)
        if used is None:
            return False
        self._used[address] = used
        return True
