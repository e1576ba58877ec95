"""How much one address may do: buckets that refill with time."""

from __future__ import annotations

import dataclasses
import enum
from typing import Final

from pubsub_common.defaults import HEARTBEATS_PER_LEASE

# Bursts are what a bucket brings in so many seconds: clients that all come at once, at
# the start or after the broker was away, are no flood.
_BURST_S: Final = 10.0
_MESSAGES_BURST: Final = 20_000
_BYTES_PER_S: Final = 8 * 1024 * 1024
_BYTES_BURST: Final = 64 * 1024 * 1024
# A report costs as much as there are clients to tell of: ten a second of 10,000.
_STATUS_PER_S: Final = 1000.0
_MALFORMED_PER_S: Final = 100.0
# Of many small numbers that are added up.
_ROUNDING_S: Final = 1e-9


class LimitKind(enum.IntEnum):
    """What there is a bucket of."""

    CONNECTIONS = 0
    MESSAGES = 1
    BYTES = 2
    REGISTRATIONS = 3
    STATUS = 4
    MALFORMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class TokenBucket:
    """So many at once, and then so many a second."""

    per_s: float
    burst: float

    def spend(self, empty_at: float, now: float, cost: float = 1.0) -> float | None:
        """The bucket is used up to ``empty_at``, a time: beyond ``now`` by as much as it
        takes to refill. Its new value; None when there is too little left."""
        spent_at = max(empty_at, now) + cost / self.per_s
        most_s = self.burst / self.per_s + _ROUNDING_S
        return None if spent_at - now > most_s else spent_at


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one address may do. ``connections`` is how many it may have at a time."""

    connections: int
    buckets: tuple[TokenBucket, ...]


def limits_of(clients: int, registrations_per_s: float, lease_s: float) -> Limits:
    """The limits of an address that may have so many clients, and so many registrations
    a second; the others follow from these."""
    coming = TokenBucket(registrations_per_s, max(10.0, registrations_per_s * _BURST_S))
    # Twice what the heartbeats of all its clients are.
    messages_per_s = max(1000.0, 2 * clients * HEARTBEATS_PER_LEASE / lease_s)
    return Limits(
        # Those that are lost and not yet known to be, and people who ask for the status.
        connections=clients + clients // 4 + 100,
        buckets=(
            TokenBucket(max(coming.per_s, 100.0), max(coming.burst, 1000.0)),
            TokenBucket(
                messages_per_s, max(_MESSAGES_BURST, messages_per_s * _BURST_S)
            ),
            TokenBucket(_BYTES_PER_S, _BYTES_BURST),
            coming,
            TokenBucket(_STATUS_PER_S, _STATUS_PER_S * _BURST_S),
            TokenBucket(_MALFORMED_PER_S, _MALFORMED_PER_S * _BURST_S),
        ),
    )
