"""Tracks which events of a stream arrived, and which are missing.

A stream is what one publisher session sends on one topic; its events are numbered
from 0. Arrivals are compared with the highest number seen, not with the last one,
so that after 5, 3 the event 4 counts as late and not as new.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.defaults import MAX_JUMP
from pubsub_common.protocol import numbers

# A peer that skips every second number must not fill the memory: beyond this many
# separate gaps the oldest are final, and a late event of one counts as a duplicate.
MAX_OPEN_GAPS: Final = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """Events ``first`` to ``last`` (both included) of a stream did not arrive."""

    session: int
    topic: str
    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclasses.dataclass(slots=True)
class Counts:
    """What became of a set of events. ``recovered`` ones are among the received."""

    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    recovered: int = 0

    def add(self, other: Counts | StreamTracker) -> None:
        # Of each stream they are bounded by its sequence numbers, which peers choose.
        self.received = numbers.add(self.received, other.received)
        self.lost = numbers.add(self.lost, other.lost)
        self.duplicated += other.duplicated
        self.reordered += other.reordered
        self.recovered += other.recovered


class StreamTracker:
    """Counts of one stream.

    ``expected`` is public: the receive path compares it, and advances it for an expected
    number; every other case goes to `observe`. ``skipped``: arriving events are not for this
    subscriber. ``ended``: a number has jumped (`jumps_to`), and the stream no longer counts.
    ``publisher`` is the checked name in its last event.
    """

    __slots__ = (
        "_open",
        "_start",
        "duplicated",
        "ended",
        "expected",
        "lost",
        "publisher",
        "recovered",
        "reordered",
        "session",
        "skipped",
        "topic",
    )

    def __init__(self, session: int, topic: str, expected: int = -1) -> None:
        """``expected`` -1: unknown, the first event that arrives sets it."""
        self.session = session
        self.topic = topic
        self.publisher: str | None = None
        self.expected = expected
        self._start = expected
        self.lost = 0
        self.duplicated = 0
        self.reordered = 0
        self.recovered = 0
        self.skipped = False
        self.ended = False
        self._open: list[tuple[int, int]] = []

    @property
    def received(self) -> int:
        """How many events arrived. Computed, so that the receive path has one number
        less to advance: all up to the expected one but those that are lost."""
        return self.expected - self._start - self.lost

    def observe(self, sequence: int) -> Gap | None:
        """Count the arrival of ``sequence``; the gap it reveals, if any.

        Returns None also for a duplicate; `duplicated` then has grown.
        """
        gap = self.expect(sequence)
        if sequence == self.expected:
            self.expected += 1
        elif self._close(sequence):
            self.lost -= 1
            self.reordered += 1
        else:
            self.duplicated += 1
        return gap

    def expect(self, sequence: int) -> Gap | None:
        """The publisher's next event will be ``sequence``: whatever lies before it
        and has not arrived is lost. Numbers from the past change nothing."""
        if self.expected < 0:
            self.expected = self._start = sequence
        if sequence <= self.expected:
            return None
        first, self.expected = self.expected, sequence
        self.lost += sequence - first
        if len(self._open) >= MAX_OPEN_GAPS:
            del self._open[0]
        self._open.append((first, sequence - 1))
        return Gap(self.session, self.topic, first, sequence - 1)

    def jumps_to(self, sequence: int) -> bool:
        """Whether ``sequence`` is further beyond the expected number than any honest
        publisher gets. The first number of a stream may be any."""
        return 0 <= self.expected < sequence - MAX_JUMP

    def begin(self, sequence: int) -> None:
        """Events before ``sequence`` that have not arrived are not for this subscriber: they
        count neither as received nor as lost."""
        if self.expected < 0:
            self.expected = self._start = sequence
        elif sequence > self.expected:
            self._start += sequence - self.expected
            self.expected = sequence

    def _close(self, sequence: int) -> bool:
        """Take ``sequence`` out of the open gaps; False when it is in none."""
        for index, (first, last) in enumerate(self._open):
            if first <= sequence <= last:
                parts = [(first, sequence - 1), (sequence + 1, last)]
                self._open[index : index + 1] = [p for p in parts if p[0] <= p[1]]
                del self._open[:-MAX_OPEN_GAPS]
                return True
        return False
