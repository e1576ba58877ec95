"""Which subscribers are ready: connected, and their subscriptions have arrived."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from pubsub_common.protocol.events import ReadyRequest


@dataclasses.dataclass(slots=True)
class _Subscriber:
    """The ready topics of one subscriber that were seen, how many of them are ours, and how
    many there must be: as the last of them say, since one with wildcards comes to have
    more."""

    seen: set[str] = dataclasses.field(default_factory=set)
    ours: int = 0
    needed: int = 1


class ReadySubscribers:
    """Subscribers that have asked on all their ready topics, one of ``ours`` among them
    (`pubsub_common.protocol.events`). One thread updates this; `sessions` are for any
    thread to look at."""

    def __init__(self, ours: Collection[str]) -> None:
        self.sessions: set[int] = set()
        self._ours = ours
        self._subscribers: dict[int, _Subscriber] = {}
        # How many of our topics some of them must ask for, as the broker says.
        self._listeners: Mapping[int, int] = {}

    def update(self, request: ReadyRequest, *, begins: bool) -> bool:
        """A subscription to a ready topic begins, or ends; whether it changed who is
        ready. Takes the same time however many topics there are."""
        topic, session, topics = request
        subscriber = self._subscribers.get(session)
        if begins:
            if subscriber is None:
                subscriber = self._subscribers[session] = _Subscriber()
            if topic not in subscriber.seen:
                subscriber.seen.add(topic)
                subscriber.ours += topic in self._ours
            subscriber.needed = max(subscriber.needed, topics)
        elif subscriber is not None and topic in subscriber.seen:
            subscriber.seen.discard(topic)
            subscriber.ours -= topic in self._ours
            if not subscriber.seen:
                del self._subscribers[session]
        return self._update_session(session)

    def expect(self, listeners: Mapping[int, int]) -> bool:
        """These subscribers are to have so many of our topics, and may know only
        some yet: others publish those too. Our topics may be others than before. Whether it
        changed who is ready."""
        self._listeners = listeners
        changed = False
        for session, subscriber in self._subscribers.items():
            subscriber.ours = sum(topic in self._ours for topic in subscriber.seen)
            changed |= self._update_session(session)
        return changed

    def _update_session(self, session: int) -> bool:
        subscriber = self._subscribers.get(session)
        ready = (
            subscriber is not None
            and len(subscriber.seen) >= subscriber.needed
            and subscriber.ours >= self._listeners.get(session, 1)
        )
        if ready == (session in self.sessions):
            return False
        if ready:
            self.sessions.add(session)
        else:
            self.sessions.discard(session)
        return True
