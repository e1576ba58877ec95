"""What a subscriber knows of its publishers: who must still answer the ready
handshake, who has left, and which events of whom arrived. Core.

Two threads share it: the control thread tells of joins and departures, the user's
thread of frames. Each method is one short step under the caller's lock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final

from pubsub_common.messages import Departure, PublisherInfo
from pubsub_common.sequence import Counts, Gap, StreamTracker

# After a publisher has left, events of it may still be under way; when none of them
# has arrived for this many seconds, what is missing counts as lost. At least one
# lease, so that a publisher that the broker forgot for a moment (it restarted) is not
# given up meanwhile.
SETTLE_S: Final = 6.0
# Answers that come before the broker's word of a join are remembered, up to here.
_MAX_EARLY_ANSWERS: Final = 65_536


@dataclasses.dataclass(slots=True)
class _Leaving:
    departure: Departure
    deadline: float
    received: int = -1


class Streams:
    """Publishers by session, and a tracker for each (session, topic)."""

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self.settle_s = settle_s
        self.trackers: dict[tuple[int, str], StreamTracker] = {}
        self._settled = Counts()
        self._publishers: dict[int, PublisherInfo] = {}
        self._leaving: dict[int, _Leaving] = {}
        self._awaited: set[tuple[int, str]] = set()
        self._answered: set[tuple[int, str]] = set()

    # Joins and departures

    def join(self, info: PublisherInfo) -> None:
        """A publisher is there (or back)."""
        self._leaving.pop(info.session, None)
        self._publishers[info.session] = info
        for topic in info.topics:
            if (info.session, topic) not in self._answered:
                self._awaited.add((info.session, topic))

    def leave(self, departure: Departure, now: float) -> None:
        """A publisher left or died."""
        session = departure.session
        info = self._publishers.get(session)
        if info is None:
            return
        self._awaited -= {(session, topic) for topic in info.topics}
        self._leaving[session] = _Leaving(departure, now + self.settle_s)

    def replace(
        self, publishers: Iterable[PublisherInfo], now: float
    ) -> list[PublisherInfo]:
        """The broker's full list: those not in it have left. Returns those that are
        new to us."""
        listed = {info.session: info for info in publishers}
        for session in self._publishers.keys() - listed.keys():
            if session not in self._leaving:
                self.leave(Departure(session=session), now)
        new = [
            info
            for session, info in listed.items()
            if self._publishers.get(session) != info
        ]
        for info in listed.values():
            self.join(info)
        return new

    def address_in_use(self, address: str | None) -> bool:
        """Whether a publisher that has not left is at this address."""
        return any(
            info.address == address and session not in self._leaving
            for session, info in self._publishers.items()
        )

    # The ready handshake

    def answer(self, session: int, topic: str, next_sequence: int) -> Gap | None:
        """A publisher's answer: what it publishes from ``next_sequence`` on arrives.
        Returns the gap that this reveals, after a reconnection for instance."""
        self._awaited.discard((session, topic))
        if len(self._answered) < _MAX_EARLY_ANSWERS:
            self._answered.add((session, topic))
        return self.tracker(session, topic).expect(next_sequence)

    def forget_answers(self) -> None:
        """The way that events take has changed: who answered must do so again."""
        self._answered.clear()

    def awaited(self) -> int:
        """How many answers are still to come."""
        return len(self._awaited)

    # Events

    def tracker(self, session: int, topic: str) -> StreamTracker:
        """The tracker of a stream; a new one if need be."""
        key = (session, topic)
        tracker = self.trackers.get(key)
        if tracker is None:
            tracker = self.trackers[key] = StreamTracker(session, topic)
        return tracker

    def counts(self) -> Counts:
        """What became of all events so far."""
        total = dataclasses.replace(self._settled)
        for tracker in self.trackers.values():
            total.add(tracker)
        return total

    # Ends of streams

    def settle(self, now: float) -> tuple[list[PublisherInfo], list[Gap]]:
        """Close the books on publishers that left, once all they sent has arrived or
        nothing has for the settling time. Returns those publishers, and what never
        arrived.

        To be called when the receiver has taken in all that waited: while it has not,
        time proves nothing.
        """
        done = [
            session
            for session, leaving in self._leaving.items()
            if self._complete(leaving.departure) or self._quiet(leaving, now)
        ]
        gone = [self._publishers[session] for session in done]
        gaps = [gap for session in done for gap in self._close(session)]
        return gone, gaps

    def next_deadline(self) -> float | None:
        """When `settle` has something to do at the latest. For any thread."""
        if not self._leaving:
            return None
        return min((item.deadline for item in self._leaving.values()), default=None)

    def _complete(self, departure: Departure) -> bool:
        """Whether all that the publisher sent has arrived, as far as it told."""
        return bool(departure.next_sequences) and all(
            self._reached(departure.session, topic, end)
            for topic, end in departure.next_sequences.items()
        )

    def _quiet(self, leaving: _Leaving, now: float) -> bool:
        """Whether nothing of the publisher has arrived for the settling time."""
        session = leaving.departure.session
        received = sum(
            tracker.received
            for topic in self._publishers[session].topics
            if (tracker := self.trackers.get((session, topic))) is not None
        )
        if received != leaving.received:
            leaving.received = received
            leaving.deadline = now + self.settle_s
        return now >= leaving.deadline

    def _reached(self, session: int, topic: str, end: int) -> bool:
        tracker = self.trackers.get((session, topic))
        return tracker is not None and tracker.expected >= end

    def _close(self, session: int) -> list[Gap]:
        departure = self._leaving.pop(session).departure
        info = self._publishers.pop(session)
        gaps = []
        ends: Mapping[str, int] = departure.next_sequences
        for topic in info.topics:
            self._answered.discard((session, topic))
            tracker = self.trackers.pop((session, topic), None)
            if tracker is None:
                continue
            gap = tracker.expect(ends[topic]) if topic in ends else None
            if gap is not None:
                gaps.append(gap)
            self._settled.add(tracker)
        return gaps
