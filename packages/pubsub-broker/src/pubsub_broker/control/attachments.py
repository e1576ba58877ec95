"""Decides to which publishers the forwarders of a broker in a group are attached.

A publisher is wanted by each subscriber to one of its topics that may come here for any
topic, as publishers count subscribers too
(`pubsub_common.protocol.events.ReadyRequest`). The number of subscribers that want each
publisher is updated by the index of topics as clients join and leave, so there is no
search. A publisher that no subscriber wants any longer stays attached for the time of a
lease, and longer than its subscribers may take to move: subscribers that alternate cause
no reconnects.

A subscriber with an expired lease may only have been suspended. Its subscriptions still
arrive over its data connection, which stays open as long as its control connection.
Until the control connection closes, the subscriber counts as before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Set

from pubsub_broker.control.effects import Attach, Detach, Effect
from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.registry.interface import Client, Registry
from pubsub_broker.registry.topic_index import TopicIndex
from pubsub_common.defaults import NOTIFY_TOPICS, SPREAD_DELAY_S


class Attachments:
    """Decides as clients of ``registry`` join and leave. Each method except `returns`
    is called when the registry has the change already. ``now`` is seconds of one
    monotonic clock."""

    def __init__(
        self,
        registry: Registry,
        *,
        lease_s: float,
        is_lost: Callable[[bytes], bool],
        served: ServedSubscribers,
    ) -> None:
        """``is_lost``: whether a connection has closed. ``served``: the subscribers of
        the group that may come here."""
        self._served = served
        self._registry = registry
        self._lease_s = lease_s
        self._is_lost = is_lost
        # The number of subscribers that want each publisher, if any does.
        self._wanted: dict[int, int] = {}
        # Publishers that no subscriber wants, and until when each stays attached.
        self._unwanted: OrderedDict[int, float] = OrderedDict()
        # Subscribers with an expired lease, by connection (which bounds their number),
        # and when each was last checked.
        self._silent: OrderedDict[bytes, tuple[Client, float]] = OrderedDict()
        self._silent_at: dict[int, bytes] = {}
        self._silent_topics = TopicIndex()

    def publisher_came(self, publisher: Client) -> list[Effect]:
        """A publisher has joined."""
        topics = publisher.topics
        number = sum(map(self._served.has, self._registry.subscribed(topics)))
        number += len(self._silent_topics.subscribed(topics))
        if not number:
            return []
        self._wanted[publisher.session] = number
        return [attach(publisher)]

    def publisher_gone(self, publisher: Client, *, at_once: bool) -> list[Effect]:
        """A publisher has left; ``at_once``: the forwarders must stop receiving it now."""
        wanted = self._wanted.pop(publisher.session, 0)
        waits = self._unwanted.pop(publisher.session, None)
        if not wanted and waits is None:
            return []
        return [Detach(publisher.address, at_once=at_once)]

    def subscriber_came(self, subscriber: Client, now: float) -> list[Effect]:
        """A subscriber has joined."""
        return self._begin(subscriber) if self._served.came(subscriber, now) else []

    def subscriber_moved(self, subscriber: Client, now: float) -> list[Effect]:
        """A subscriber is registered at this broker now, or at another one."""
        change = self._served.moved(subscriber)
        if change:
            return self._begin(subscriber)
        if change is not None:
            self._end(subscriber, now)
        return []

    def subscriber_gone(self, subscriber: Client, now: float) -> None:
        """A subscriber has left."""
        if self._served.gone(subscriber, now):
            self._end(subscriber, now)

    def subscriber_silent(self, subscriber: Client, peer: bytes, now: float) -> None:
        """The lease of a subscriber on the connection ``peer`` has expired."""
        if not self._served.gone(subscriber, now):
            return
        if self._is_lost(peer):
            self._end(subscriber, now)
            return
        earlier = self._silent.get(peer)
        if earlier is not None:
            self.returns(earlier[0].session, now)
        self._silent[peer] = subscriber, now
        self._silent_at[subscriber.session] = peer
        self._silent_topics.add(subscriber)

    def kept_topics_changed(self, topics: Set[str], now: float) -> None:
        """This broker forwards these topics itself now, or no longer."""
        self._served.kept_topics_changed(topics, now)

    def returns(self, session: int, now: float) -> None:
        """A client is about to be registered under a session. It may be a subscriber
        with an expired lease."""
        peer = self._silent_at.pop(session, None)
        if peer is not None:
            subscriber, _ = self._silent.pop(peer)
            self._silent_topics.remove(subscriber)
            self._end(subscriber, now)

    def tick(self, now: float) -> list[Effect]:
        """Detach publishers that have been unwanted for a lease, and update the
        subscribers that may come here."""
        while self._silent:
            peer, (subscriber, looked_at) = next(iter(self._silent.items()))
            if looked_at + self._lease_s > now:
                break
            if self._is_lost(peer):
                self.returns(subscriber.session, now)
            else:
                self._silent[peer] = subscriber, now
                self._silent.move_to_end(peer)
        effects: list[Effect] = []
        for subscriber, comes in self._served.changes(NOTIFY_TOPICS):
            if comes:
                effects += self._begin(subscriber)
            else:
                self._end(subscriber, now)
        while self._unwanted:
            session, until = next(iter(self._unwanted.items()))
            if until > now:
                break
            del self._unwanted[session]
            publisher = self._registry.get(session)
            assert publisher is not None, "one that left is not waited for"
            effects.append(Detach(publisher.address))
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        times = list(self._unwanted.values())[:1]
        times += [at + self._lease_s for _, at in list(self._silent.values())[:1]]
        if self._served.due_at is not None:
            times.append(self._served.due_at)
        return min(times, default=None)

    def _begin(self, subscriber: Client) -> list[Effect]:
        effects: list[Effect] = []
        for session in self._registry.published(subscriber.topics):
            number = self._wanted.get(session, 0)
            self._wanted[session] = number + 1
            if number or self._unwanted.pop(session, None) is not None:
                continue
            publisher = self._registry.get(session)
            assert publisher is not None, "it was found a moment ago"
            effects.append(attach(publisher))
        return effects

    def _end(self, subscriber: Client, now: float) -> None:
        for session in self._registry.published(subscriber.topics):
            number = self._wanted[session] - 1
            if number:
                self._wanted[session] = number
                continue
            del self._wanted[session]
            self._unwanted[session] = now + max(self._lease_s, 2 * SPREAD_DELAY_S)


def attach(publisher: Client) -> Attach:
    """Attach the forwarders to a publisher."""
    session = None if publisher.key is None else publisher.session
    return Attach(publisher.address, publisher.topics, publisher.key, session)
