"""The publishers of a subscriber, and their streams: one for each topic, with its counts.

In a topic with an owner (`pubsub_subscriber.streams.ownership`), events of other publishers
are skipped: they count neither as received nor as lost. The last events of an owner that
disconnects are still received. A publisher that a restarted broker does not know stays the
owner for the grace time: it probably comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.sequence import Counts, Gap, StreamTracker
from pubsub_subscriber.streams.departures import GRACE_S, Departures
from pubsub_subscriber.streams.effects import Jumped, OwnerIdle
from pubsub_subscriber.streams.idle_owners import IdleOwners
from pubsub_subscriber.streams.ownership import Ownership
from pubsub_subscriber.streams.ready_replies import ReadyReplies
from pubsub_subscriber.streams.trackers import Key, Trackers


def location_of(publisher: PublisherInfo) -> tuple[str | None, str | None]:
    """The address and key of a publisher. Two sessions of one location belong to one
    publisher, which the broker had not heard from for a while, or which was restarted."""
    return publisher.address, publisher.key


class StreamTable:
    """Publishers by session, and the trackers of their streams."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.ready = ReadyReplies()
        self._trackers = Trackers()
        self.trackers = self._trackers.active
        self.departures = Departures(self._trackers, grace_s)
        self._ownership = Ownership()
        self.idle_owners = IdleOwners()
        self._publishers: dict[int, PublisherInfo] = {}
        # Their sessions by topic, also of leaving publishers.
        self._publishers_of: dict[str, set[int]] = {}
        # Topics that a publisher has had, which may have streams.
        self._former_topics: dict[int, set[str]] = {}

    # Joins and departures

    def join(self, info: PublisherInfo) -> None:
        """A publisher has joined, or is back."""
        session = info.session
        self.departures.end(session)
        before = self._publishers.get(session)
        given_up = set() if before is None else {*before.topics} - {*info.topics}
        self._publishers[session] = info
        self._ownership.in_use |= bool(info.strengths)
        for topic in info.topics:
            self._publishers_of.setdefault(topic, set()).add(session)
        if given_up:
            self._former_topics.setdefault(session, set()).update(given_up)
            self._forget_topics(session, given_up)
            self.ready.expect_no_longer(session, given_up)
        self.ready.expect(session, info.topics)
        # A list of all publishers does not name removed topics.
        self._choose_owners((*info.topics, *given_up))

    def publisher(self, session: int) -> PublisherInfo | None:
        """The data of a publisher, also while it is leaving."""
        return self._publishers.get(session)

    def name_of(self, session: int) -> str:
        """The name of a publisher for people: its address, if it is known."""
        info = self._publishers.get(session)
        known = None if info is None else info.address
        return known or f"session {session}"

    def leave(
        self, departure: Departure, now: float, *, may_return: bool = False
    ) -> None:
        """A publisher left or its lease expired; ``may_return`` if a restarted broker has not
        heard of it yet."""
        info = self._publishers.get(departure.session)
        if info is None:
            return
        self.ready.expect_no_longer(departure.session, info.topics)
        self.departures.begin(departure, now, may_return=may_return)
        self._choose_owners(info.topics)

    def replace(
        self,
        publishers: Iterable[PublisherInfo],
        now: float,
        *,
        restarted: bool = False,
    ) -> list[PublisherInfo]:
        """The broker's full list: publishers that are not in it have left or, if the broker
        was ``restarted``, may not have come back yet. Returns the new ones."""
        listed = {info.session: info for info in publishers}
        for session in self._publishers.keys() - listed.keys():
            if session not in self.departures:
                self.leave(Departure(session=session), now, may_return=restarted)
        new = [
            info
            for session, info in listed.items()
            if self._publishers.get(session) != info
        ]
        for info in listed.values():
            self.join(info)
        return new

    def addresses_in_use(self) -> set[str | None]:
        """The addresses of publishers that have not left."""
        return {
            info.address
            for session, info in self._publishers.items()
            if session not in self.departures
        }

    def published(self, topic: str) -> bool:
        """Whether a publisher of this topic is known, also one that is leaving."""
        return topic in self._publishers_of

    # Events

    def tracker(self, session: int, topic: str) -> StreamTracker:
        """The tracker of a stream, a new one if necessary."""
        return self._trackers.of(session, topic)

    def jumps(self, session: int, topic: str, sequence: int) -> bool:
        """Whether the next number of a stream is too far beyond the expected one; then `end` it.

        Raises:
            ProtocolError: It has jumped before.
        """
        tracker = self._trackers.find(session, topic)
        if tracker is None:
            return False
        if tracker.ended:
            raise ProtocolError("of a stream that has jumped in its numbers")
        return tracker.jumps_to(sequence)

    def end(self, session: int, topic: str) -> Jumped:
        """A stream jumps: ignore it from now on."""
        tracker = self._trackers.find(session, topic)
        name = None if tracker is None else tracker.publisher
        self._trackers.end((session, topic))
        return Jumped(name or self.name_of(session), topic)

    def watch_owner(self, session: int, topic: str, now: float) -> list[OwnerIdle]:
        """An event of this stream has arrived, which may end the ownership of a silent owner."""
        idle = self.idle_owners
        if idle.returns((session, topic)):
            self._choose_owners([topic])
            return []
        owner = self._ownership.owner(topic)
        if owner is None or owner == session:
            return []
        tracker = self.trackers.get((owner, topic))
        expected = -1 if tracker is None else tracker.expected
        if not idle.gives_up(topic, owner, expected, now):
            return []
        self._choose_owners([topic])
        return [OwnerIdle(self.name_of(owner), topic)]

    def skip(self, session: int, topic: str, sequence: int) -> bool:
        """Whether another publisher owns the topic; then events below ``sequence`` are
        skipped."""
        if not self._is_skipped((session, topic)):
            return False
        self._trackers.skipped(session, topic).begin(sequence)
        return True

    def close_surplus(
        self, abandon: Callable[[Key], list[Gap]] = lambda _key: []
    ) -> list[Gap]:
        """Remove streams of invented sessions, if there are too many: the broker has not
        named the publisher, or not with that topic. ``abandon`` as in `finish_departed`."""
        gaps: list[Gap] = []
        while (key := self._trackers.next_surplus(self._is_named)) is not None:
            gaps += abandon(key)
            self.ready.forget(key)
            self._trackers.close(key)
        return gaps

    def counts(self) -> Counts:
        """Numbers of all events so far."""
        return self._trackers.counts()

    # Ends of streams

    def finish_departed(
        self, now: float, abandon: Callable[[Key], list[Gap]] = lambda _key: []
    ) -> tuple[list[PublisherInfo], list[Gap]]:
        """Finish publishers that left, when all their events have arrived, or none has within
        the grace time. Returns those publishers and the missing events. ``abandon`` is called
        for each stream before, and may report losses.

        Call it only when the receiver has received everything that waited: before that, an
        elapsed time proves nothing.
        """
        for session in self.departures.end_ownership(now):
            self._choose_owners(self._publishers[session].topics)
        gone, gaps = [], []
        for session in self.departures.finished(self._publishers, now):
            gone.append(self._publishers[session])
            gaps += self._close(session, abandon)
        return gone, gaps

    def _close(self, session: int, abandon: Callable[[Key], list[Gap]]) -> list[Gap]:
        departure = self.departures.end(session)
        ends: Mapping[str, int] = {} if departure is None else departure.next_sequences
        info = self._publishers.pop(session)
        self._forget_topics(session, info.topics)
        gaps: list[Gap] = []
        given_up = self._former_topics.pop(session, ())
        for topic in dict.fromkeys((*info.topics, *given_up)):
            key = (session, topic)
            self.ready.forget(key)
            gaps += abandon(key)
            tracker = self.trackers.get(key)
            end = ends.get(topic, 0)
            if tracker is not None and not tracker.jumps_to(end):
                gap = tracker.expect(end)
                if gap is not None:
                    gaps.append(gap)
            self._trackers.close(key)
        return gaps

    def _forget_topics(self, session: int, topics: Iterable[str]) -> None:
        """A publisher has removed these topics."""
        for topic in topics:
            sessions = self._publishers_of.get(topic)
            if sessions is not None:
                sessions.discard(session)
                self.idle_owners.returns((session, topic))
                if not sessions:
                    del self._publishers_of[topic]
                    self.idle_owners.forget(topic)

    def _is_named(self, key: Key) -> bool:
        """Whether the broker has named this publisher with this topic."""
        session, topic = key
        info = self._publishers.get(session)
        if info is None:
            return False
        return topic in info.topics or topic in self._former_topics.get(session, ())

    # Owners

    def _is_skipped(self, key: Key) -> bool:
        session, topic = key
        if self.idle_owners.is_given_up(key):
            return True
        owner = self._ownership.owner(topic)
        if owner is None or owner == session:
            return False
        # Only an owner has a stream that is not skipped.
        return not (self.departures.is_orderly(session) and key in self.trackers)

    def _choose_owners(self, topics: Iterable[str]) -> None:
        """Publishers of ``topics`` have joined or left."""
        if not self._ownership.in_use:
            return
        for topic in topics:
            candidates = [
                self._publishers[session]
                for session in self._publishers_of.get(topic, ())
                if self.departures.may_own(session)
                and not self.idle_owners.is_given_up((session, topic))
            ]
            if self._ownership.choose(topic, candidates):
                self._trackers.sort(topic, self._is_skipped)
