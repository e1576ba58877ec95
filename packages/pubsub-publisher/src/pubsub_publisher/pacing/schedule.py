"""The times at which generated events are due.

A schedule is absolute: no event is due later because the one before it was late. A publisher
that falls behind sends at once until it has caught up, and does not hide the delay by
shifting the rest (coordinated omission: G. Tene, "How NOT to Measure Latency").

All times are nanoseconds of the publisher's clock.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator


def periodic(start_ns: int, period_ns: int) -> Iterator[int]:
    """Event k is due at start + k * period."""
    return itertools.count(start_ns, period_ns)


def poisson(start_ns: int, period_ns: int, seed: int | None) -> Iterator[int]:
    """The events of a Poisson process: gaps are independent and exponential, with the period
    as their mean, also the gap before the first event. Equal seeds give equal gaps; None:
    gaps that are new each time."""
    source = random.Random(seed)  # no secret  # nosec B311
    due_ns = start_ns
    while True:
        due_ns += round(source.expovariate(1.0) * period_ns)
        yield due_ns
