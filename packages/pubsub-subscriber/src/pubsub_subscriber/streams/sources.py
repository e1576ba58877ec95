"""The sources of a subscriber's events: takes the broker's reports on publishers and ports,
returns connections and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol.messages import Model, PublisherInfo, Registered, TopicPort
from pubsub_subscriber.streams.departures import GRACE_S
from pubsub_subscriber.streams.effects import (
    Connect,
    Disconnect,
    Effect,
    Listen,
    Subscribe,
    Unsubscribe,
)
from pubsub_subscriber.streams.present_publishers import PresentPublishers
from pubsub_subscriber.streams.stream_table import StreamTable
from pubsub_subscriber.streams.subscribed_topics import SubscribedTopics


class Sources:
    """``model`` and ``epoch`` are the broker's, None before they are known."""

    def __init__(self, topics: SubscribedTopics, streams: StreamTable) -> None:
        self.model: Model | None = None
        self.epoch: int | None = None
        self._topics = topics
        self._streams = streams
        self._ports: dict[str, TopicPort] = {}  # as the broker names them
        self._present = PresentPublishers()

    def register(self, reply: Registered, now: float) -> list[Effect]:
        """The broker's full state, at each registration."""
        self.model = reply.model
        self._streams.departures.grace_s = max(GRACE_S, reply.lease_s)
        self._streams.idle_owners.timeout_s = reply.owner_idle_s
        restarted = reply.epoch != self.epoch
        self.epoch = reply.epoch
        effects: list[Effect] = []
        if reply.model == "centralized" and restarted:
            self._streams.ready.forget_all()  # they came through another broker
        self._topics.add_of(reply.publishers)
        if reply.model == "decentralized":
            effects.append(self.subscribe())
        elif restarted:
            self._topics.replace(reply.ports)
            effects.append(self.listen(reply.ports))
        else:
            # A publisher that is missing at present may come back: without a connection its
            # events would be lost, and the others count its topics.
            effects.append(self.listen({**self._ports, **reply.ports}))
        new = self._streams.replace(reply.publishers, now, restarted=restarted)
        if reply.model == "decentralized":
            effects += map(Connect, new)
        return effects + self._present.replace(reply.publishers)

    def change(self, update: PublishersUpdated, now: float) -> list[Effect]:
        """The broker's report on publishers that have joined or left."""
        direct = self.model == "decentralized"
        effects: list[Effect] = []
        for departure in update.left:
            info = self._streams.publisher(departure.session)
            self._streams.leave(departure, now)
            if departure.revoked and info is not None and direct:
                effects.append(Disconnect(info))
        for info in update.joined:
            self._streams.join(info)
        new_topics = self._topics.add_of(update.joined)
        if direct and new_topics:
            effects.append(Subscribe(new_topics))
        elif not direct and (new_topics or update.ports):
            effects.append(self.listen({**self._ports, **update.ports}))
        if direct:
            effects += map(Connect, update.joined)
        left = [each.session for each in update.left]
        return effects + self._present.change(update.joined, left)

    def subscribe(self) -> Subscribe:
        """Subscribe to the topics at the publishers."""
        return Subscribe(tuple(self._topics))

    def listen(self, ports: Mapping[str, TopicPort]) -> Listen:
        """The broker forwards the topics from these ports, and from no others."""
        self._ports = dict(ports)
        return Listen(dict(ports), len(self._topics))

    def drop(self, gone: list[PublisherInfo]) -> list[Effect]:
        """End the connections to publishers that have left, and remove topics of wildcards
        that have no publishers any more."""
        in_use = self._streams.addresses_in_use() if gone else set()
        effects: list[Effect] = [
            Disconnect(info, info.address in in_use) for info in gone if info.address
        ]
        # Publishers count the topics of this subscriber over all connections to the broker. They
        # would mistake a removed topic for one that they do not know yet.
        if len(set(self._ports.values())) <= 1:
            for topic in dict.fromkeys(topic for info in gone for topic in info.topics):
                if not self._streams.published(topic) and self._topics.remove(topic):
                    self._ports.pop(topic, None)
                    effects.append(Unsubscribe(topic))
        return effects
