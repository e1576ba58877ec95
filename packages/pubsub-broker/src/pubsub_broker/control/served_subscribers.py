"""Which subscribers of a group may come to this broker for events.

Each of them is told by its own broker where to have which topic (`topic_places`). That one may
count differently from this one at the moment, so a subscriber is taken for one that may come
already when several times as many would bring its topic here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from pubsub_broker.control.changed_topics import ChangedTopics
from pubsub_broker.control.topic_spread import (
    GROWTH,
    broker_count,
    counts_anew,
    ranking,
)
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.protocol.wildcards import is_filter

# A topic is looked at again when it has so many times as many subscribers, or as few.
_AGAIN: Final = 2
# With how many times as many subscribers it is looked at: another broker may be behind by the
# damping of a topic, a factor of two, and both by `GROWTH` of all subscriptions.
_TIMES: Final = 2 * _AGAIN * GROWTH**2


class _Reach(NamedTuple):
    """Whether a topic that had so many ``subscribers`` may be ``here``."""

    subscribers: int
    here: bool


class ServedSubscribers:
    """Follows the subscribers of ``registry``: each method is called when that has the change
    already. ``now`` is seconds of one monotonic clock."""

    def __init__(self, registry: Registry, is_own: Callable[[int], bool]) -> None:
        """``is_own`` tells by session whether a client is registered at this broker."""
        self._registry = registry
        self._is_own = is_own
        self._home = ""
        self._brokers: tuple[str, ...] = ("",)
        self._reaches: dict[
            str, _Reach
        ] = {}  # of topics that anybody has subscribed to
        # Which this broker is of those that are chosen for them.
        self._ranks: dict[str, int] = {}
        # How many topics subscribers may have here: of those with any.
        self._here: dict[int, int] = {}
        self._changed = ChangedTopics()
        self._kept_here: set[str] = set()
        self._subscriptions = 1  # as far as they count

    @property
    def due_at(self) -> float | None:
        """When `changes` is due; None while there is none."""
        return self._changed.due_at

    def set_brokers(self, home: str, others: Iterable[str], now: float) -> None:
        """The control addresses of this broker, and of the others that forward events."""
        brokers = (home, *sorted(others))
        if brokers != self._brokers:
            self._home, self._brokers = home, brokers
            self._ranks.clear()
            self._changed.add(self._reaches, now)

    def keep_here(self, topics: Iterable[str], now: float) -> None:
        """Subscribers of these topics may come here, until `release`."""
        new = set(topics) - self._kept_here
        self._kept_here |= new
        self._changed.add(new & self._reaches.keys(), now)

    def release(self, now: float) -> None:
        """Only those that this broker is chosen for may come."""
        kept, self._kept_here = self._kept_here, set()
        self._changed.add(kept & self._reaches.keys(), now)

    def has(self, session: int) -> bool:
        """Whether a subscriber may come here."""
        return session in self._here

    def came(self, subscriber: Client, now: float) -> bool:
        """A subscriber has joined; whether it may come here."""
        self._count(subscriber.topics, now)
        number = self._number(subscriber)
        if number:
            self._here[subscriber.session] = number
        return number > 0

    def gone(self, subscriber: Client, now: float) -> bool:
        """A subscriber has left; whether it might have come here."""
        self._count(subscriber.topics, now)
        return self._here.pop(subscriber.session, 0) > 0

    def moved(self, subscriber: Client) -> bool | None:
        """A subscriber is registered at this broker now, or at another one; whether it may
        come here, None if that is as it was."""
        before = subscriber.session in self._here
        if not is_wild(subscriber) or before == self._is_own(subscriber.session):
            return None
        if before:
            del self._here[subscriber.session]
        else:
            self._here[subscriber.session] = 1
        return not before

    def changes(self, cost: int) -> Iterator[tuple[Client, bool]]:
        """Subscribers that may come here now, or (False) no longer, until so many topics and
        subscribers were looked at. `due_at` says when the rest is due."""
        while cost > 0 and (topic := self._changed.take()) is not None:
            before = self._reaches[topic]
            after = self._reaches[topic] = self._reach_of(topic)
            cost -= 1
            if after.here == before.here:
                continue
            for subscriber in self._registry.matching("subscriber", [topic]):
                cost -= 1
                if is_wild(subscriber):
                    continue
                session = subscriber.session
                there = self._here.pop(session, 0)
                number = there + (1 if after.here else -1)
                if number:
                    self._here[session] = number
                if not there or not number:
                    yield subscriber, number > 0

    def _number(self, subscriber: Client) -> int:
        if is_wild(subscriber):
            return int(self._is_own(subscriber.session))
        number = 0
        for topic in subscriber.topics:
            reach = self._reaches.get(topic)
            if reach is None:
                reach = self._reaches[topic] = self._reach_of(topic)
            number += reach.here
        return number

    def _count(self, topics: Iterable[str], now: float) -> None:
        subscriptions = max(self._registry.subscription_count(), 1)
        if counts_anew(self._subscriptions, subscriptions):
            self._subscriptions = subscriptions
            self._changed.add(self._reaches, now)
        for topic in topics:
            reach = self._reaches.get(topic)
            if reach is None:
                continue
            number = self._registry.subscriber_count(topic)
            if not number:
                del self._reaches[topic]
                self._ranks.pop(topic, None)
                self._changed.forget(topic)
            elif (
                not reach.subscribers < _AGAIN * number < _AGAIN**2 * reach.subscribers
            ):
                self._changed.add([topic], now)

    def _reach_of(self, topic: str) -> _Reach:
        subscribers = self._registry.subscriber_count(topic)
        many = round(_TIMES * subscribers)
        number = broker_count(many, self._subscriptions, len(self._brokers))
        rank = self._ranks.get(topic)
        if rank is None:
            rank = ranking(topic, self._brokers).index(self._home)
            self._ranks[topic] = rank
        return _Reach(subscribers, topic in self._kept_here or rank < number)


def is_wild(subscriber: Client) -> bool:
    """Whether a subscriber has wildcards: then it has all topics from its own broker."""
    return any(map(is_filter, subscriber.topics))
