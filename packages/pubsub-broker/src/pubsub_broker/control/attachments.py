"""Which publishers the forwarders of a broker in a group are attached to.

Those of which a subscriber wants a topic that may come here for any of its topics, as publishers
count them all (`pubsub_common.protocol.events.ReadyRequest`). How many subscribers want each
publisher is counted as clients come and go, by the index of their topics, so nobody is searched
for. A publisher that nobody wants any more stays attached for a lease: subscribers that come and
go in turn cost no connections.

A subscriber whose lease has ended may only have been stopped for a while. What it subscribed
to still comes by its data connection, which is as open as its control connection. So as long
as that is open, publishers are wanted by it as before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from pubsub_broker.control.effects import Attach, Detach, Effect
from pubsub_broker.control.served_subscribers import ServedSubscribers
from pubsub_broker.registry.interface import Client, Registry
from pubsub_broker.registry.topic_index import TopicIndex
from pubsub_common.defaults import NOTIFY_TOPICS


class Attachments:
    """Decides as clients of ``registry`` come and go: each method is called when the registry
    has the change already, but for `returns`. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        registry: Registry,
        *,
        lease_s: float,
        is_lost: Callable[[bytes], bool],
        served: ServedSubscribers,
    ) -> None:
        """``is_lost`` tells whether a connection has ended; ``served`` which subscribers of
        the group may come here."""
        self._served = served
        self._registry = registry
        self._lease_s = lease_s
        self._is_lost = is_lost
        # How many subscribers want each publisher: of those that any wants.
        self._wanted: dict[int, int] = {}
        # Publishers that are still attached, and until when.
        self._unwanted: OrderedDict[int, float] = OrderedDict()
        # Subscribers whose lease has ended, by their connection: so no more than there are
        # connections. When each was looked at last.
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
        """A publisher has left; ``at_once``: and must not be received any more."""
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
        """The lease of a subscriber, which spoke on the connection ``peer``, has ended."""
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

    def keep_here(self, topics: Iterable[str], now: float) -> None:
        """This broker forwards these topics to its subscribers itself, until `release`."""
        self._served.keep_here(topics, now)

    def release(self, now: float) -> None:
        """It forwards the topics that it is chosen for."""
        self._served.release(now)

    def returns(self, session: int, now: float) -> None:
        """A client is about to be registered under a session. If that was a silent
        subscriber's, it is none any more."""
        peer = self._silent_at.pop(session, None)
        if peer is not None:
            subscriber, _ = self._silent.pop(peer)
            self._silent_topics.remove(subscriber)
            self._end(subscriber, now)

    def tick(self, now: float) -> list[Effect]:
        """Publishers that nobody has wanted for a lease, and subscribers that may come now,
        or no longer."""
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
        """When `tick` is due; None while nothing is."""
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
            self._unwanted[session] = now + self._lease_s


def attach(publisher: Client) -> Attach:
    """The forwarders are to be attached to a publisher."""
    session = None if publisher.key is None else publisher.session
    return Attach(publisher.address, publisher.topics, publisher.key, session)
