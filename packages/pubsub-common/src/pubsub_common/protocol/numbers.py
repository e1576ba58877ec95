"""Numbers on the wire: their limits, and sums within the limits.

Each number of a peer is limited where it is decoded. A sum of several numbers is sent on: in
a heartbeat, a status report, a page. So sums are made here and stop at the limit: a total
that is too small is still readable by every client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

# Up to here numbers are exact as doubles (IEEE 754), which is all that some languages have.
LIMIT: Final = 2**53
LARGEST: Final = LIMIT - 1

# Times, and differences of times, in nanoseconds: since 1970 they are beyond 2^53.
NS_LIMIT: Final = 2**62

Count = Annotated[int, msgspec.Meta(ge=0, lt=LIMIT)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=-NS_LIMIT, lt=NS_LIMIT)]
Duration = Annotated[int, msgspec.Meta(ge=0, lt=NS_LIMIT)]
# Of seconds, or of events a second. As a float; JSON knows no infinity.
Amount = Annotated[float, msgspec.Meta(ge=0, le=float(LIMIT))]


def add(total: int, more: int) -> int:
    """The sum, not above `LARGEST`."""
    return min(total + more, LARGEST)


def total(numbers: Iterable[int]) -> int:
    """The sum of all, not above `LARGEST`."""
    return min(sum(numbers), LARGEST)
