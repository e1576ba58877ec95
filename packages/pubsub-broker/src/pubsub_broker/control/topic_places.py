"""From which broker of a group each subscriber of this one gets each of its topics.

The place of a topic (`topic_spread`) follows from its number of subscribers in the
group, which all brokers know. Each broker tells its own subscribers, also after each
change. A broker is ready for more subscribers than are sent to it
(`served_subscribers`), so the brokers need not agree at any moment.

A subscriber with wildcards gets everything from its own broker: otherwise each topic of
each publisher would have to be matched for it.

A topic with more subscribers gets more brokers only after a while, and a new broker
gets its topics only then. Often a publisher waits for just these subscribers, and
publishes at once. An event that it publishes while a subscriber moves, before the
handshake at the new place, would be lost, and the subscriber could not know it.

While a broker is cut off, the other brokers do not know the clients that register at
it. It forwards the topics of these clients to its subscribers itself (`keep_here`).

Work for many subscribers is split into turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from pubsub_broker.control.changed_topics import ChangedTopics
from pubsub_broker.control.served_subscribers import is_wild
from pubsub_broker.control.topic_spread import (
    counts_anew,
    damped_count,
    forwarder_of,
    place_of,
    ranking,
)
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.defaults import NOTIFY_DELAY_S, SPREAD_DELAY_S
from pubsub_common.earliest import earliest
from pubsub_common.protocol.endpoints import host_of, join
from pubsub_common.protocol.messages import TopicPort

Ports = Callable[[Iterable[str]], Mapping[str, TopicPort]]


class Place(NamedTuple):
    """A broker, by its control address, and the ports from which it forwards; the own
    broker has none here, as it is asked directly."""

    address: str
    ports: tuple[int, ...] = ()


class Move(NamedTuple):
    """A subscriber of this broker must get a topic from elsewhere."""

    session: int
    topic: str
    port: TopicPort


class TopicPlaces:
    """``now`` is seconds of one monotonic clock."""

    def __init__(self, registry: Registry, own: Registry, ports: Ports) -> None:
        """``registry`` has the clients of the group, ``own`` those of this broker,
        which forwards topics from ``ports``."""
        self._registry = registry
        self._own = own
        self._ports = ports
        self._home = ""
        self._places: dict[str, Place] = {"": Place("")}  # by address
        # The places of each topic that subscribers here were last told.
        self._told: dict[str, tuple[Place, ...]] = {}
        # Topics that may have moved.
        self._changed = ChangedTopics(NOTIFY_DELAY_S)
        # Topics that need more brokers, or may go to a new one.
        self._growing = ChangedTopics(SPREAD_DELAY_S)
        self._subscriptions = 1  # of the group; the last number that counted
        # Topics that this broker forwards to its subscribers itself, wherever they are.
        self.kept_here: set[str] = set()

    @property
    def due_at(self) -> float | None:
        """When `moves` is due; None if nothing is pending."""
        return earliest(self._changed.due_at, self._growing.due_at)

    def set_brokers(
        self, home: str, others: Mapping[str, tuple[int, ...]], now: float
    ) -> None:
        """Set this broker's control address, and the control addresses and ports of the
        other live brokers of the group."""
        places = {home: Place(home)}
        places |= {each: Place(each, ports) for each, ports in others.items() if ports}
        if (home, places) != (self._home, self._places):
            only_more = self._places.items() <= places.items()
            self._home, self._places = home, places
            (self._growing if only_more else self._changed).add(self._told, now)

    def ports_of(
        self, subscriber: Client, topics: Iterable[str]
    ) -> dict[str, TopicPort]:
        """The ports from which a subscriber of this broker gets these topics."""
        names = list(topics)
        if is_wild(subscriber):
            return dict(self._ports(names))
        found: dict[str, TopicPort] = {}
        for topic in names:
            told = self._told.get(topic)
            if told is None:
                count = self._count_of(topic, None)
                told = self._told[topic] = self._places_of(topic, count)
            found[topic] = self._port(self._place_of(subscriber.session, told), topic)
        return found

    def count(self, topics: Iterable[str], now: float) -> None:
        """A subscriber of these topics has come or gone, at any broker."""
        subscriptions = max(self._registry.subscription_count(), 1)
        if counts_anew(self._subscriptions, subscriptions):
            self._subscriptions = subscriptions
            self._changed.add(self._told, now)
        for topic in topics if self._told else ():
            told = self._told.get(topic)
            if told is None:
                continue
            if not self._own.subscriber_count(topic):
                del self._told[topic]
                self._changed.forget(topic)
                self._growing.forget(topic)
            elif topic not in self.kept_here and self._count_of(
                topic, len(told)
            ) != len(told):
                self._changed.add([topic], now)

    def keep_here(self, topics: Iterable[str], now: float) -> set[str]:
        """This broker's subscribers get these topics from it, until `release`. Returns the
        topics for which that is new."""
        new = set(topics) - self.kept_here
        self.kept_here |= new
        self._changed.add(new & self._told.keys(), now)
        return new

    def release(self, now: float) -> set[str]:
        """All brokers know all clients again. Returns the topics that were kept here."""
        kept = self.kept_here.copy()
        self.kept_here.clear()
        self._changed.add(kept & self._told.keys(), now)
        return kept

    def moves(self, cost: int, now: float) -> Iterator[Move]:
        """Subscribers that must get topics from elsewhere, up to a limit of topics and
        subscribers to examine. `due_at` says when the rest is due."""
        while cost > 0:
            topic, grows = self._changed.take(), False
            if topic is None and self._growing.is_due(now):
                topic, grows = self._growing.take(), True
            if topic is None:
                return
            before = self._told[topic]
            count = self._count_of(topic, len(before))
            if count > len(before) and not grows:
                self._growing.add([topic], now)
                count = len(before)
            after = self._told[topic] = self._places_of(topic, count)
            cost -= 1
            if after == before:
                continue
            for subscriber in self._own.matching("subscriber", [topic]):
                cost -= 1
                if is_wild(subscriber):
                    continue
                place = self._place_of(subscriber.session, after)
                if place != self._place_of(subscriber.session, before):
                    yield Move(subscriber.session, topic, self._port(place, topic))

    def _places_of(self, topic: str, count: int) -> tuple[Place, ...]:
        if topic in self.kept_here:
            return (self._places[self._home],)
        chosen = ranking(topic, self._places)[:count]
        return tuple(self._places[each] for each in chosen)

    def _count_of(self, topic: str, before: int | None) -> int:
        subscribers = self._registry.subscriber_count(topic)
        return damped_count(before, subscribers, self._subscriptions, len(self._places))

    def _place_of(self, session: int, places: tuple[Place, ...]) -> Place:
        address = place_of(session, self._home, [each.address for each in places])
        return next(each for each in places if each.address == address)

    def _port(self, place: Place, topic: str) -> TopicPort:
        if not place.ports:
            return self._ports([topic])[topic]
        port = place.ports[forwarder_of(topic, len(place.ports))]
        return join(host_of(place.address), port)
