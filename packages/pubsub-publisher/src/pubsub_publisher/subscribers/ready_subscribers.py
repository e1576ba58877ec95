"""Knows which subscribers are ready: connected, and all their subscriptions have arrived."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping
from typing import Final

from pubsub_common.defaults import READY_BYTES
from pubsub_common.protocol.events import ATTEMPTS, ReadyRequest

# Bytes of a subscriber and of each of its topics, without names that are not ours.
_SUBSCRIBER_BYTES: Final = 600
_TOPIC_BYTES: Final = 64
_TEXT_BYTES: Final = 56
# Stored attempts of one topic, the newest. An honest subscriber has one for each connection that
# TCP has not ended yet, and one more while it asks again.
_ATTEMPTS: Final = 8
_ATTEMPT_BYTES: Final = 40
# Shared: nearly all subscribers have just this attempt.
_FIRST: Final = (0,)


@dataclasses.dataclass(slots=True)
class _Subscriber:
    """One subscriber: for each topic, the attempts of its ready subscription; how many of the
    topics are ours, and how many there must be. The largest number holds, because a
    subscriber with wildcards gets more topics. They came from the connection ``origin``
    and use ``size`` bytes."""

    origin: Hashable
    seen: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    ours: int = 0
    needed: int = 1
    size: int = _SUBSCRIBER_BYTES


@dataclasses.dataclass(slots=True)
class _Origin:
    """The subscribers of one connection, the oldest first, and the bytes that they use."""

    sessions: OrderedDict[int, None] = dataclasses.field(default_factory=OrderedDict)
    size: int = 0


class ReadySubscribers:
    """Subscribers that have sent all their ready subscriptions, at least one of them for a topic
    of ``ours`` (`pubsub_common.protocol.events`). One thread updates this; any thread may
    read `sessions`.

    A ready subscription of a topic holds as long as any attempt of it is subscribed: the
    subscriber may have asked again over a new connection while an old connection, which has
    not ended yet, holds the previous attempt.

    The sessions in the requests are not verified. So the memory is limited: above the limit,
    the largest connection loses its oldest subscriber.
    """

    def __init__(self, ours: Collection[str], limit_bytes: int = READY_BYTES) -> None:
        self.sessions: set[int] = set()
        self._ours = ours
        self._limit_bytes = limit_bytes
        self._size = 0
        self._subscribers: dict[int, _Subscriber] = {}
        self._origins: dict[Hashable, _Origin] = {}
        # Number of our topics that each subscriber must ask for, from the broker.
        self._listeners: Mapping[int, int] = {}

    def update(
        self, request: ReadyRequest, origin: Hashable = None, *, begins: bool
    ) -> bool:
        """A subscription to a ready topic from the connection ``origin`` begins or ends.
        Returns whether the ready subscribers have changed. Takes the same time for any
        number of topics."""
        topic, session, topics, attempt = request
        # A subscriber that moved to other brokers asks with another number of topics, and then
        # ends its earlier subscriptions.
        question = topics * ATTEMPTS + attempt
        subscriber = self._subscribers.get(session)
        changed = False
        if begins:
            if subscriber is None:
                subscriber = self._begin(session, origin)
            self._note(subscriber, topic, question)
            subscriber.needed = max(subscriber.needed, topics)
            if self._size > self._limit_bytes:
                changed = self._forget_one()
        elif subscriber is not None:
            self._take_back(subscriber, topic, question)
            if not subscriber.seen:
                self._forget(session)
        return self._update_session(session) or changed

    def expect(self, listeners: Mapping[int, int]) -> bool:
        """Set how many of our topics each subscriber must have. It may have only some of them
        so far, because other publishers have them too. Our topics may have changed.
        Returns whether the ready subscribers have changed."""
        self._listeners = listeners
        changed = False
        for session, subscriber in self._subscribers.items():
            subscriber.ours = sum(topic in self._ours for topic in subscriber.seen)
            size = _SUBSCRIBER_BYTES + sum(
                self._cost(topic) + _ATTEMPT_BYTES * len(attempts)
                for topic, attempts in subscriber.seen.items()
            )
            self._grow(subscriber, size - subscriber.size)
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

    def _note(self, subscriber: _Subscriber, topic: str, question: int) -> None:
        attempts = subscriber.seen.get(topic, ())
        if question in attempts:
            return
        new = (*attempts, question)[-_ATTEMPTS:] if attempts or question else _FIRST
        subscriber.seen[topic] = new
        self._grow(subscriber, _ATTEMPT_BYTES * (len(new) - len(attempts)))
        if not attempts:
            subscriber.ours += topic in self._ours
            self._grow(subscriber, self._cost(topic))

    def _take_back(self, subscriber: _Subscriber, topic: str, question: int) -> None:
        attempts = subscriber.seen.get(topic, ())
        if question not in attempts:
            return
        self._grow(subscriber, -_ATTEMPT_BYTES)
        if len(attempts) > 1:
            subscriber.seen[topic] = tuple(
                each for each in attempts if each != question
            )
            return
        del subscriber.seen[topic]
        subscriber.ours -= topic in self._ours
        self._grow(subscriber, -self._cost(topic))

    # Their size

    def _cost(self, topic: str) -> int:
        return _TOPIC_BYTES + (0 if topic in self._ours else _TEXT_BYTES + len(topic))

    def _grow(self, subscriber: _Subscriber, size: int) -> None:
        subscriber.size += size
        self._origins[subscriber.origin].size += size
        self._size += size

    def _begin(self, session: int, origin: Hashable) -> _Subscriber:
        subscriber = self._subscribers[session] = _Subscriber(origin)
        there = self._origins.setdefault(origin, _Origin())
        there.sessions[session] = None
        there.size += subscriber.size
        self._size += subscriber.size
        return subscriber

    def _forget(self, session: int) -> None:
        subscriber = self._subscribers.pop(session)
        there = self._origins[subscriber.origin]
        del there.sessions[session]
        there.size -= subscriber.size
        self._size -= subscriber.size
        if not there.sessions:
            del self._origins[subscriber.origin]

    def _forget_one(self) -> bool:
        """Remove the oldest subscriber of the largest connection, if possible one that the
        broker does not know. Returns whether it was ready."""
        most = max(self._origins.values(), key=lambda origin: origin.size)
        for _ in range(len(most.sessions)):
            session = next(iter(most.sessions))
            if session not in self._listeners:
                break
            most.sessions.move_to_end(session)
        self._forget(session)
        return self._update_session(session)
