"""The streams of a subscriber: one for each publisher and topic, with its counts.

Of a topic that has an owner (`pubsub_subscriber.streams.ownership`), events of the other
publishers are skipped: they are neither received nor lost. An owner that leaves in an
orderly way is received to its end. A publisher that a restarted broker does not know stays the
owner for the grace time: it is likely to come back.

Two threads share it: the control thread tells of joins and departures, the user's
thread of frames. Each method is one short step under the caller's lock.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.sequence import Counts, Gap, StreamTracker
from pubsub_subscriber.streams.ownership import Ownership

# After a publisher has left, events of it may still be under way; when none of them
# has arrived for this many seconds, what is missing counts as lost. At least one
# lease, so that a publisher that the broker forgot for a moment (it restarted) is not
# given up meanwhile.
GRACE_S: Final = 6.0
# Answers that come before the broker's word of a join are remembered, up to here.
_MAX_EARLY_REPLIES: Final = 65_536
# A publisher that was given up may come back under the same session, and what it has
# published meanwhile is missing. So many streams are remembered for that.
_MAX_CLOSED: Final = 4096

Key = tuple[int, str]


@dataclasses.dataclass(slots=True)
class _Departing:
    departure: Departure
    deadline: float
    received: int = -1
    owner_until: float | None = None


def location_of(publisher: PublisherInfo) -> tuple[str | None, str | None]:
    """Where a publisher is, and with which key: two sessions of one place are of one
    publisher, from which the broker had nothing for a while, or which was started again."""
    return publisher.address, publisher.key


class StreamTable:
    """Publishers by session, and a tracker for each (session, topic)."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self.trackers: dict[Key, StreamTracker] = {}
        self._skipped: dict[Key, StreamTracker] = {}
        self._ownership = Ownership()
        self._closed: OrderedDict[Key, StreamTracker] = OrderedDict()
        self._closed_counts = Counts()
        self._publishers: dict[int, PublisherInfo] = {}
        # Topics that a publisher has had, of which there may be streams.
        self._former_topics: dict[int, set[str]] = {}
        self._leaving: dict[int, _Departing] = {}
        self._awaited_replies: set[Key] = set()
        self._replied: set[Key] = set()

    # Joins and departures

    def join(self, info: PublisherInfo) -> None:
        """A publisher is there (or back)."""
        session = info.session
        self._leaving.pop(session, None)
        before = self._publishers.get(session)
        given_up = set() if before is None else {*before.topics} - {*info.topics}
        self._publishers[session] = info
        self._ownership.in_use |= bool(info.strengths)
        if given_up:
            self._former_topics.setdefault(session, set()).update(given_up)
            self._awaited_replies -= {(session, topic) for topic in given_up}
        for topic in info.topics:
            if (session, topic) not in self._replied:
                self._awaited_replies.add((session, topic))
        # In a list of all publishers nobody says what one has given up.
        self._choose_owners((*info.topics, *given_up))

    def publisher(self, session: int) -> PublisherInfo | None:
        """What is known of a publisher, also while it is leaving."""
        return self._publishers.get(session)

    def has_left(self, session: int) -> bool:
        """Whether a publisher has left, and its events may still be under way."""
        return session in self._leaving

    def leave(self, departure: Departure, now: float) -> None:
        """A publisher left or died."""
        self._leave(departure, now)

    def _leave(
        self, departure: Departure, now: float, *, may_return: bool = False
    ) -> None:
        session = departure.session
        info = self._publishers.get(session)
        if info is None:
            return
        self._awaited_replies -= {(session, topic) for topic in info.topics}
        deadline = now + self.grace_s
        leaving = self._leaving[session] = _Departing(departure, deadline)
        leaving.owner_until = deadline if may_return else None
        self._choose_owners(info.topics)

    def replace(
        self,
        publishers: Iterable[PublisherInfo],
        now: float,
        *,
        restarted: bool = False,
    ) -> list[PublisherInfo]:
        """The broker's full list: those not in it have left, or, if the broker was
        ``restarted``, may not have come back yet. Returns those that are new to us."""
        listed = {info.session: info for info in publishers}
        for session in self._publishers.keys() - listed.keys():
            if session not in self._leaving:
                self._leave(Departure(session=session), now, may_return=restarted)
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

    def published(self, topic: str) -> bool:
        """Whether a publisher of this topic is known, be it one that is leaving."""
        return any(topic in info.topics for info in self._publishers.values())

    # The ready handshake

    def on_ready_reply(self, session: int, topic: str) -> None:
        """A publisher has answered."""
        self._awaited_replies.discard((session, topic))
        if len(self._replied) < _MAX_EARLY_REPLIES:
            self._replied.add((session, topic))

    def clear_replies(self) -> None:
        """The route of events has changed: all publishers must reply again."""
        self._replied.clear()

    def awaited_replies(self) -> int:
        """How many answers are still to come."""
        return len(self._awaited_replies)

    # Events

    def tracker(self, session: int, topic: str) -> StreamTracker:
        """The tracker of a stream; a new one if need be."""
        key = (session, topic)
        tracker = self.trackers.get(key) or self._skipped.get(key)
        if tracker is None:
            tracker = self._closed.pop(key, None) or StreamTracker(session, topic)
            self.trackers[key] = tracker
        return tracker

    def skip(self, session: int, topic: str, sequence: int) -> bool:
        """Whether another publisher owns the topic; then events below ``sequence`` are
        none of ours."""
        key = (session, topic)
        if not self._is_skipped(key):
            return False
        tracker = self._skipped.get(key)
        if tracker is None:
            tracker = self._closed.pop(key, None) or StreamTracker(session, topic)
            self._move_to_skipped(key, tracker)
        tracker.begin(sequence)
        return True

    def counts(self) -> Counts:
        """What became of all events so far."""
        total = dataclasses.replace(self._closed_counts)
        for trackers in (self.trackers, self._skipped, self._closed):
            for tracker in trackers.values():
                total.add(tracker)
        return total

    # Owners

    def _is_skipped(self, key: Key) -> bool:
        session, topic = key
        owner = self._ownership.owner(topic)
        if owner is None or owner == session:
            return False
        leaving = self._leaving.get(session)
        # Only an owner has a stream here that is not skipped.
        return not (
            leaving is not None
            and leaving.departure.next_sequences
            and key in self.trackers
        )

    def _choose_owners(self, topics: Iterable[str]) -> None:
        """Publishers of ``topics`` have come or gone."""
        if not self._ownership.in_use:
            return
        candidates = [
            info for session, info in self._publishers.items() if self._may_own(session)
        ]
        for topic in self._ownership.choose(topics, candidates):
            self._apply_owner(topic)

    def _may_own(self, session: int) -> bool:
        leaving = self._leaving.get(session)
        return leaving is None or leaving.owner_until is not None

    def _apply_owner(self, topic: str) -> None:
        """Have the streams of a topic where they belong, now that its owner has
        changed."""
        for key in [key for key in self.trackers if key[1] == topic]:
            if self._is_skipped(key):
                self._move_to_skipped(key, self.trackers.pop(key))
        for key in [key for key in self._skipped if key[1] == topic]:
            if not self._is_skipped(key):
                tracker = self.trackers[key] = self._skipped.pop(key)
                tracker.skipped = False

    def _move_to_skipped(self, key: Key, tracker: StreamTracker) -> None:
        tracker.skipped = True
        self._skipped[key] = tracker

    # Ends of streams

    def finish_departed(
        self, now: float, abandon: Callable[[Key], list[Gap]] = lambda _key: []
    ) -> tuple[list[PublisherInfo], list[Gap]]:
        """Finish publishers that left, once all they sent has arrived or
        nothing has for the grace time. Returns those publishers, and what never
        arrived. ``abandon`` is told of each stream before that, and may know of losses.

        To be called when the receiver has taken in all that waited: while it has not,
        time proves nothing.
        """
        for session, leaving in self._leaving.items():
            if leaving.owner_until is not None and now >= leaving.owner_until:
                leaving.owner_until = None
                self._choose_owners(self._publishers[session].topics)
        done = [
            session
            for session, leaving in self._leaving.items()
            if self._complete(leaving.departure) or self._timed_out(leaving, now)
        ]
        gone = [self._publishers[session] for session in done]
        gaps = [gap for session in done for gap in self._close(session, abandon)]
        return gone, gaps

    def unfinished(self) -> list[tuple[StreamTracker, int]]:
        """Streams of publishers that left, and the number at which each ends, where
        that is more than has arrived."""
        found = []
        for session, leaving in self._leaving.items():
            for topic, end in leaving.departure.next_sequences.items():
                tracker = self.trackers.get((session, topic))
                if tracker is not None and 0 <= tracker.expected < end:
                    found.append((tracker, end))
        return found

    def next_deadline(self) -> float | None:
        """When `finish_departed` has something to do at the latest. For any thread."""
        if not self._leaving:
            return None
        times = (item.owner_until or item.deadline for item in self._leaving.values())
        return min(times, default=None)

    def _complete(self, departure: Departure) -> bool:
        """Whether all that the publisher sent has arrived, as far as it told."""
        return bool(departure.next_sequences) and all(
            self._reached(departure.session, topic, end)
            for topic, end in departure.next_sequences.items()
        )

    def _timed_out(self, leaving: _Departing, now: float) -> bool:
        """Whether nothing of the publisher has arrived for the grace time."""
        session = leaving.departure.session
        received = sum(
            tracker.received
            for topic in self._publishers[session].topics
            if (tracker := self.trackers.get((session, topic))) is not None
        )
        if received != leaving.received:
            leaving.received = received
            leaving.deadline = now + self.grace_s
        return now >= leaving.deadline

    def _reached(self, session: int, topic: str, end: int) -> bool:
        if (session, topic) in self._skipped:
            return True
        tracker = self.trackers.get((session, topic))
        return tracker is not None and tracker.expected >= end

    def _close(self, session: int, abandon: Callable[[Key], list[Gap]]) -> list[Gap]:
        departure = self._leaving.pop(session).departure
        info = self._publishers.pop(session)
        gaps: list[Gap] = []
        ends: Mapping[str, int] = departure.next_sequences
        given_up = self._former_topics.pop(session, ())
        for topic in dict.fromkeys((*info.topics, *given_up)):
            key = (session, topic)
            self._replied.discard(key)
            gaps += abandon(key)
            tracker = self.trackers.pop(key, None)
            if tracker is not None:
                gap = tracker.expect(ends[topic]) if topic in ends else None
                if gap is not None:
                    gaps.append(gap)
            else:
                tracker = self._skipped.pop(key, None)
            if tracker is not None:
                self._keep_closed(key, tracker)
        return gaps

    def _keep_closed(self, key: Key, tracker: StreamTracker) -> None:
        tracker.skipped = False
        self._closed[key] = tracker
        if len(self._closed) > _MAX_CLOSED:
            self._closed_counts.add(self._closed.popitem(last=False)[1])
