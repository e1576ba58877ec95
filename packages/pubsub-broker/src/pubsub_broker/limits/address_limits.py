"""The limits of one IP address at the control port."""

from __future__ import annotations

import dataclasses
import enum
from typing import Final

from pubsub_common.defaults import HEARTBEATS_PER_LEASE
from pubsub_common.limits.token_bucket import TokenBucket

# Bursts are what a bucket brings in so many seconds: clients that all come at once, at
# the start or after the broker was away, are not a flood.
_BURST_S: Final = 10.0
_MESSAGES_BURST: Final = 20_000
_BYTES_PER_S: Final = 8 * 1024 * 1024
_BYTES_BURST: Final = 64 * 1024 * 1024
# A report costs as much as it is long: five a second of 10,000 clients, and no more than that
# at once, as others wait for it.
_STATUS_BYTES_PER_S: Final = 6 * 1024 * 1024
_MALFORMED_PER_S: Final = 100.0
# Of each second so much may be work for one address, and so much of it at once: others wait
# that long for their turn, and for what one request takes.
_WORK_PER_S: Final = 0.2
_WORK_BURST_S: Final = 0.1


class LimitKind(enum.IntEnum):
    """What is limited: each has a bucket."""

    CONNECTIONS = 0
    MESSAGES = 1
    BYTES = 2
    REGISTRATIONS = 3
    STATUS = 4
    MALFORMED = 5
    WORK = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one address may do. ``connections`` is how many it may have at a time."""

    connections: int
    buckets: tuple[TokenBucket, ...]


def limits_for(clients: int, registrations_per_s: float, lease_s: float) -> Limits:
    """The limits of an address that may have so many clients, and so many registrations
    a second; the others follow from these."""
    registrations = TokenBucket(
        registrations_per_s, max(10.0, registrations_per_s * _BURST_S)
    )
    # Twice what the heartbeats of all its clients are.
    messages_per_s = max(1000.0, 2 * clients * HEARTBEATS_PER_LEASE / lease_s)
    return Limits(
        # Those that are lost and not yet known to be, and people who ask for the status.
        connections=clients + clients // 4 + 100,
        buckets=(
            TokenBucket(
                max(registrations.per_s, 100.0), max(registrations.burst, 1000.0)
            ),
            TokenBucket(
                messages_per_s, max(_MESSAGES_BURST, messages_per_s * _BURST_S)
            ),
            TokenBucket(_BYTES_PER_S, _BYTES_BURST),
            registrations,
            TokenBucket(_STATUS_BYTES_PER_S, _STATUS_BYTES_PER_S),
            TokenBucket(_MALFORMED_PER_S, _MALFORMED_PER_S * _BURST_S),
            TokenBucket(_WORK_PER_S, _WORK_BURST_S),
        ),
    )
