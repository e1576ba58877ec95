"""Samples recent latencies for heartbeats, in bounded memory.

Theory of operation
-------------------
The receiving thread counts what it delivers, and calls `take` when that exceeds `due`:
all that most events cost is their share of one comparison for a burst. The gaps between
events of the sample are drawn at random, since publishers that take turns would have the
same one hit each time. A full sample is thinned out by half, and gaps are doubled; so it
is spread evenly over the time since the last summary.

The control thread takes the sample away, at any moment. What the other thread adds to
that list meanwhile is missing in one summary, or in the next.
"""

from __future__ import annotations

from typing import Final

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Latency

CAPACITY: Final = 256
# What a heartbeat may hold. Stamps that are further apart are nonsense.
_MAX_NS: Final = 2**62 - 1


class LatencySampler:
    """``due`` is how many events are delivered before the next one of the sample."""

    __slots__ = ("_delivered", "_drawn", "_gap", "_values_ns", "due")

    def __init__(self) -> None:
        self.due = 0
        self._gap = 1  # mean distance of events of the sample
        self._drawn = 1
        self._values_ns: list[int] = []
        self._delivered = 0

    def take(self, events: list[Event] | Batch, delivered: int) -> None:
        """Take the sample's events out of those that were delivered last, of
        ``delivered`` in all."""
        count = len(events)
        before = delivered - count
        place = max(0, self.due - before)
        while place < count:
            self._add(_latency_ns(events, place))
            place += self._draw()
        self.due = before + place

    def summary(self, delivered: int) -> Latency | None:
        """The latency since the last call, in which ``delivered``, the number of all
        events so far, was smaller; None when nothing was delivered."""
        values_ns, self._values_ns = self._values_ns, []
        count, self._delivered = delivered - self._delivered, delivered
        # As much as of late, if there will be as many events again; else this would be
        # blind for long when few come after many.
        self._gap = max(1, count // CAPACITY)
        self.due = 0
        ordered = sorted(values_ns)
        if not ordered:
            return None
        return Latency(
            count=max(count, len(ordered)),
            p50_ns=_bounded(_rank(ordered, 50)),
            p99_ns=_bounded(_rank(ordered, 99)),
            max_ns=_bounded(ordered[-1]),
        )

    def _draw(self) -> int:
        """The distance to the next event of the sample."""
        if self._gap == 1:
            return 1
        # A linear congruential generator (that of C's example) is random enough here;
        # Python's random module would cost every subscriber memory.
        self._drawn = (self._drawn * 1103515245 + 12345) & 0x7FFFFFFF
        return 1 + (self._drawn >> 8) % (2 * self._gap - 1)

    def _add(self, latency_ns: int) -> None:
        values_ns = self._values_ns
        values_ns.append(latency_ns)
        if len(values_ns) >= CAPACITY:
            del values_ns[::2]
            self._gap *= 2


def _latency_ns(events: list[Event] | Batch, place: int) -> int:
    if isinstance(events, Batch):
        published_ns = events.published_ns + events.offsets_ns[place]
        return events.received_ns - published_ns
    return events[place].latency_ns


def _rank(ordered: list[int], percent: int) -> int:
    """The nearest rank: the smallest value that so many per cent do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _bounded(latency_ns: int) -> int:
    return max(-_MAX_NS, min(_MAX_NS, latency_ns))
