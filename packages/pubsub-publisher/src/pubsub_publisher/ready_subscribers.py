"""Which subscribers are ready: connected, and their subscriptions have arrived."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping
from typing import Final

from pubsub_common.defaults import READY_BYTES
from pubsub_common.protocol.events import ATTEMPTS, ReadyRequest

# What a subscriber costs, and what each of its topics does, beside a name that is not ours.
_SUBSCRIBER_BYTES: Final = 600
_TOPIC_BYTES: Final = 64
_TEXT_BYTES: Final = 56
# Attempts of one topic that are remembered, the newest. An honest subscriber has one for each of
# its connections that TCP has not ended yet, and one more while it asks again.
_ATTEMPTS: Final = 8
_ATTEMPT_BYTES: Final = 40
# What nearly all have, once for all.
_FIRST: Final = (0,)


@dataclasses.dataclass(slots=True)
class _Subscriber:
    """The topics that one subscriber is subscribed to a ready topic of, with which questions;
    how many of them are ours, and how many there must be: as the last of them say, since one
    with wildcards comes to have more. They came by the connection ``origin``, and cost
    ``size`` bytes."""

    origin: Hashable
    seen: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    ours: int = 0
    needed: int = 1
    size: int = _SUBSCRIBER_BYTES


@dataclasses.dataclass(slots=True)
class _Origin:
    """The subscribers of one connection, the oldest first, and what they cost."""

    sessions: OrderedDict[int, None] = dataclasses.field(default_factory=OrderedDict)
    size: int = 0


class ReadySubscribers:
    """Subscribers that have asked on all their ready topics, one of ``ours`` among them
    (`pubsub_common.protocol.events`). One thread updates this; `sessions` are for any
    thread to look at.

    A subscriber has asked about a topic as long as any attempt of it is subscribed: it may have
    asked again over a new connection while an old one, whose end is yet to come, holds the
    attempt before.

    Nobody vouches for the sessions in them. So what is remembered is bounded: when it is too
    much, the connection that has most loses its oldest subscriber.
    """

    def __init__(self, ours: Collection[str], limit_bytes: int = READY_BYTES) -> None:
        self.sessions: set[int] = set()
        self._ours = ours
        self._limit_bytes = limit_bytes
        self._size = 0
        self._subscribers: dict[int, _Subscriber] = {}
        self._origins: dict[Hashable, _Origin] = {}
        # How many of our topics some of them must ask for, as the broker says.
        self._listeners: Mapping[int, int] = {}

    def update(
        self, request: ReadyRequest, origin: Hashable = None, *, begins: bool
    ) -> bool:
        """A subscription to a ready topic, which came by the connection ``origin``,
        begins, or ends; whether it changed who is ready. Takes the same time however many
        topics there are."""
        topic, session, topics, attempt = request
        # One that has its topics from other brokers than before asks with another number of
        # topics, and only then takes back what it had asked before.
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
        """These subscribers are to have so many of our topics, and may know only
        some yet: others publish those too. Our topics may be others than before. Whether it
        changed who is ready."""
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

    # What they cost

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
        """Forget the oldest of the connection that has most: one that the broker does not
        know, if there is one. Whether it was ready."""
        most = max(self._origins.values(), key=lambda origin: origin.size)
        for _ in range(len(most.sessions)):
            session = next(iter(most.sessions))
            if session not in self._listeners:
                break
            most.sessions.move_to_end(session)
        self._forget(session)
        return self._update_session(session)
