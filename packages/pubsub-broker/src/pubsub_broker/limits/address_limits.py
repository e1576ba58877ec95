"""The limits of one IP address at the control port."""

from __future__ import annotations

import dataclasses
import enum
from typing import Final

from pubsub_common.defaults import HEARTBEATS_PER_LEASE
from pubsub_common.limits.token_bucket import TokenBucket

# A burst is the amount of a bucket for this many seconds: clients that all come
# together, at the start or after an outage of the broker, are not a flood.
_BURST_S: Final = 10.0
_MESSAGES_BURST: Final = 20_000
_BYTES_PER_S: Final = 8 * 1024 * 1024
_BYTES_BURST: Final = 64 * 1024 * 1024
# The cost of a report is its length: five reports per second of 10,000 clients, and no
# more in one burst, as other clients wait for it.
_STATUS_BYTES_PER_S: Final = 6 * 1024 * 1024
_MALFORMED_PER_S: Final = 100.0
# The share of each second for the work of one address, and the limit of a burst: other
# clients wait that long, and for one more request.
_WORK_PER_S: Final = 0.2
_WORK_BURST_S: Final = 0.1


class LimitKind(enum.IntEnum):
    """The kinds of limits: each has a bucket."""

    CONNECTIONS = 0
    MESSAGES = 1
    BYTES = 2
    REGISTRATIONS = 3
    STATUS = 4
    MALFORMED = 5
    WORK = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one address. ``connections`` is the number of open connections."""

    connections: int
    buckets: tuple[TokenBucket, ...]


def limits_for(clients: int, registrations_per_s: float, lease_s: float) -> Limits:
    """The limits of an address with this many clients and registrations per second; the
    other limits follow from these."""
    registrations = TokenBucket(
        registrations_per_s, max(10.0, registrations_per_s * _BURST_S)
    )
    # Twice the heartbeats of all its clients.
    messages_per_s = max(1000.0, 2 * clients * HEARTBEATS_PER_LEASE / lease_s)
    return Limits(
        # Lost connections that are not yet detected, and status requests.
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
