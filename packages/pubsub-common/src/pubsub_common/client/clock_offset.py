"""Estimates the offset between this host's clock and the broker's, and its error.

One exchange has four stamps: sent (client), received and replied (broker), returned
(client). Whatever the network did, the broker's clock is ahead of the client's by
``offset ± delay / 2`` with::

    delay  = (returned - sent) - (replied - received)
    offset = ((received - sent) + (replied - returned)) / 2

(F. Cristian, Probabilistic clock synchronization, 1989.) An exchange that met no queue
has the smallest delay and so the tightest bound; the estimate is that of the best of
the last `WINDOW` exchanges (the clock filter of NTP, RFC 5905 section 10). While an
exchange ages, the clocks may drift apart, by at most `DRIFT_PPM` of its age.
"""

from __future__ import annotations

import dataclasses
from typing import Final

# The first estimate is given from this many exchanges on.
MIN_EXCHANGES: Final = 8
WINDOW: Final = 64
# The first exchanges come quickly, but not so quickly that one queue delays them all; the others
# keep the estimate recent.
BURST_INTERVAL_S: Final = 0.05
PROBE_INTERVAL_S: Final = 5.0
# The frequency tolerance that RFC 5905 assumes of a clock, doubled: two clocks drift.
DRIFT_PPM: Final = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Offset:
    """The broker's clock minus ours is ``offset_ns``, plus or minus ``bound_ns``."""

    offset_ns: int
    bound_ns: int


SAME_CLOCK: Final = Offset(0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class _Exchange:
    offset_ns: int
    delay_ns: int
    at_ns: int


class OffsetEstimator:
    """Collects exchanges in one thread; any thread may read the estimate. All times are
    nanoseconds of the two clocks."""

    def __init__(self) -> None:
        # Replaced, not changed: another thread may be reading it.
        self._exchanges: tuple[_Exchange, ...] = ()

    def add(
        self, sent_ns: int, received_ns: int, replied_ns: int, returned_ns: int
    ) -> None:
        """Add an exchange. An impossible one (a clock was set meanwhile) discards all earlier
        ones, which belong to another clock in effect."""
        delay_ns = (returned_ns - sent_ns) - (replied_ns - received_ns)
        if delay_ns < 0:
            self._exchanges = ()
            return
        offset_ns = ((received_ns - sent_ns) + (replied_ns - returned_ns)) // 2
        exchange = _Exchange(offset_ns, delay_ns, returned_ns)
        self._exchanges = (*self._exchanges[1 - WINDOW :], exchange)

    def estimate(self, now_ns: int) -> Offset | None:
        """The offset at ``now_ns`` of our clock; None before there are `MIN_EXCHANGES`
        exchanges."""
        exchanges = self._exchanges
        if len(exchanges) < MIN_EXCHANGES:
            return None
        bounds = [(self._bound_ns(item, now_ns), item) for item in exchanges]
        bound_ns, best = min(bounds, key=lambda pair: pair[0])
        return Offset(best.offset_ns, bound_ns)

    @staticmethod
    def _bound_ns(exchange: _Exchange, now_ns: int) -> int:
        age_ns = abs(now_ns - exchange.at_ns)
        # Rounded up: a bound is not an estimate.
        return (exchange.delay_ns + 1) // 2 + age_ns * DRIFT_PPM // 1_000_000 + 1


class ClockProbes:
    """When a client asks for the broker's time, and the resulting estimate.

    ``shared``: both have the same clock, so there is nothing to ask.
    """

    def __init__(self, *, shared: bool) -> None:
        self._shared = shared
        self._estimator = OffsetEstimator()
        self._asked = 0
        self._due: float | None = None

    def begin(self, now: float) -> None:
        """The client is registered: ask from now on (seconds of a monotonic clock)."""
        if not self._shared:
            self._due = now

    def next_deadline(self) -> float | None:
        """When `due` will be true; None while it never is."""
        return self._due

    def due(self, now: float) -> bool:
        """Whether to ask now. True also sets the next time."""
        if self._due is None or now < self._due:
            return False
        self._asked += 1
        self._due = now + (
            BURST_INTERVAL_S if self._asked < MIN_EXCHANGES else PROBE_INTERVAL_S
        )
        return True

    def answer(
        self, sent_ns: int, received_ns: int, replied_ns: int, returned_ns: int
    ) -> None:
        """The broker has answered."""
        self._estimator.add(sent_ns, received_ns, replied_ns, returned_ns)

    def offset(self, now_ns: int) -> Offset | None:
        """The present estimate; None before there is one."""
        return SAME_CLOCK if self._shared else self._estimator.estimate(now_ns)
