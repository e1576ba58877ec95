"""Decides which subscribers of a group may come to this broker for events.

Each subscriber learns from its own broker where to get each topic (`topic_places`).
That broker's counts may differ from this one's for a moment. So this broker already
expects a subscriber when several times as many subscribers would bring its topic here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
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

# A topic is recomputed when its number of subscribers has changed by this factor.
_AGAIN: Final = 2
# The factor for the expected subscribers: another broker may lag by the damping of a
# topic, a factor of two, and both by `GROWTH` of all subscriptions.
_TIMES: Final = 2 * _AGAIN * GROWTH**2


class _Reach(NamedTuple):
    """Whether a topic may be ``here``, when it had this many ``subscribers``."""

    subscribers: int
    here: bool


class ServedSubscribers:
    """Follows the subscribers of ``registry``: each method is called when the registry
    has the change already. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        registry: Registry,
        is_own: Callable[[int], bool],
        kept_here: Set[str] = frozenset(),
    ) -> None:
        """``is_own``: whether the client with this session is registered at this broker;
        ``kept_here``: topics that this broker forwards itself, wherever they are."""
        self._registry = registry
        self._is_own = is_own
        self._home = ""
        self._brokers: tuple[str, ...] = ("",)
        self._reaches: dict[str, _Reach] = {}  # of topics with subscribers
        # The position of this broker in the ranking of each topic.
        self._ranks: dict[str, int] = {}
        # The number of topics that each subscriber may have here, if any.
        self._here: dict[int, int] = {}
        self._changed = ChangedTopics()
        self._kept_here = kept_here
        self._subscriptions = 1  # the last number that counted

    @property
    def due_at(self) -> float | None:
        """When `changes` is due; None if there are none."""
        return self._changed.due_at

    def set_brokers(self, home: str, others: Iterable[str], now: float) -> None:
        """Set the control addresses of this broker, and of the others that forward
        events."""
        brokers = (home, *sorted(others))
        if brokers != self._brokers:
            self._home, self._brokers = home, brokers
            self._ranks.clear()
            self._changed.add(self._reaches, now)

    def kept_topics_changed(self, topics: Set[str], now: float) -> None:
        """These topics are among those kept here now, or no longer."""
        self._changed.add(topics & self._reaches.keys(), now)

    def has(self, session: int) -> bool:
        """Whether a subscriber may come here."""
        return session in self._here

    def came(self, subscriber: Client, now: float) -> bool:
        """A subscriber has joined; returns whether it may come here."""
        self._count(subscriber.topics, now)
        number = self._number(subscriber)
        if number:
            self._here[subscriber.session] = number
        return number > 0

    def gone(self, subscriber: Client, now: float) -> bool:
        """A subscriber has left; returns whether it might have come here."""
        self._count(subscriber.topics, now)
        return self._here.pop(subscriber.session, 0) > 0

    def moved(self, subscriber: Client) -> bool | None:
        """A subscriber is now registered at this broker, or at another one. Returns
        whether it may come here; None if that has not changed."""
        before = subscriber.session in self._here
        if not is_wild(subscriber) or before == self._is_own(subscriber.session):
            return None
        if before:
            del self._here[subscriber.session]
        else:
            self._here[subscriber.session] = 1
        return not before

    def changes(self, cost: int) -> Iterator[tuple[Client, bool]]:
        """Subscribers that may now come here (True), or no longer (False), up to a
        limit of topics and subscribers to examine. `due_at` says when the rest is due.
        """
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
    """Whether a subscriber has wildcards: then it gets all topics from its own broker."""
    return any(map(is_filter, subscriber.topics))
