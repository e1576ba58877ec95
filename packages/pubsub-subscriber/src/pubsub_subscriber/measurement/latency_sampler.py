"""Samples recent latencies for heartbeats, in bounded memory.

Theory of operation
-------------------

The receiving thread counts delivered events and calls `take` when the count exceeds `due`:
most events cost only a share of one comparison per burst. The gaps between sampled events are
random; else, with publishers in turn, the sample would always hit the same one. A full sample
is reduced by half, and gaps are doubled; so it is spread evenly over the time since the last
summary.

The control thread takes the sample away at any moment. An event that the other thread adds
meanwhile is missing in one summary.
"""

from __future__ import annotations

from typing import Final

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Latency

CAPACITY: Final = 256
# The range of a heartbeat's field. Larger differences of time stamps are impossible.
_MAX_NS: Final = 2**62 - 1


class LatencySampler:
    """``due`` is the count of delivered events at which the next one is sampled."""

    __slots__ = ("_delivered", "_drawn", "_gap", "_values_ns", "due")

    def __init__(self) -> None:
        self.due = 0
        self._gap = 1  # mean distance of sampled events
        self._drawn = 1
        self._values_ns: list[int] = []
        self._delivered = 0

    def take(self, events: list[Event] | Batch, delivered: int) -> None:
        """Sample from the last delivered events, of ``delivered`` in all."""
        if self._gap == 1 and isinstance(events, list) and len(events) == 1:
            # One event after the other, with cold caches: without further calls.
            event = events[0]
            self._values_ns.append(event.received_ns - event.published_ns)
            self.due = delivered
            if len(self._values_ns) >= CAPACITY:
                self._reduce()
            return
        count = len(events)
        before = delivered - count
        place = max(0, self.due - before)
        while place < count:
            self._add(_latency_ns(events, place))
            place += self._draw()
        self.due = before + place

    def summary(self, delivered: int) -> Latency | None:
        """The latency since the last call; ``delivered`` is the number of all events so far.
        None if there were no events since."""
        values_ns, self._values_ns = self._values_ns, []
        count, self._delivered = delivered - self._delivered, delivered
        # For as many events as in the last interval; else, after an interval with many events,
        # an interval with few would have no sample.
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
        """The distance to the next sampled event."""
        if self._gap == 1:
            return 1
        # A linear congruential generator (of the example in the C standard) is random enough;
        # Python's random module would use memory in each subscriber.
        self._drawn = (self._drawn * 1103515245 + 12345) & 0x7FFFFFFF
        return 1 + (self._drawn >> 8) % (2 * self._gap - 1)

    def _add(self, latency_ns: int) -> None:
        self._values_ns.append(latency_ns)
        if len(self._values_ns) >= CAPACITY:
            self._reduce()

    def _reduce(self) -> None:
        del self._values_ns[::2]
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
