"""What the broker tells clients about each other, which differs between the two models.

Decentralized: a subscriber gets the addresses of the publishers of its topics, and a
publisher of a secure broker gets the keys to accept. Centralized: a subscriber gets the
broker's ports, and a publisher gets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.protocol.matching import matching_topics
from pubsub_common.protocol.messages import (
    Demand,
    Model,
    PublisherInfo,
    TopicPort,
    Vouched,
)
from pubsub_common.protocol.numbers import LARGEST
from pubsub_common.protocol.wildcards import is_filter

if TYPE_CHECKING:
    from pubsub_broker.security.grants import Grants


class Dissemination:
    """Reads the clients in ``registry``. ``ports`` maps topics to the broker's ports
    that forward them."""

    def __init__(
        self,
        model: Model,
        registry: Registry,
        ports: Callable[[Iterable[str]], Mapping[str, TopicPort]],
        grants: Grants | None,
        forwarders: Callable[[], list[str]] = list,
        places: TopicPlaces | None = None,
    ) -> None:
        """``forwarders`` are the names by which publishers identify the forwarders of
        all brokers. ``places``: other brokers forward, too."""
        self._places = places
        self._forwarders = forwarders
        self._centralized = model == "centralized"
        self._registry = registry
        self._ports = ports
        self._grants = grants

    def info(self, publisher: Client, subscriber: Client) -> PublisherInfo:
        """The part of a publisher's registration that a subscriber needs: only its
        topics."""
        return self._info(
            publisher, matching_topics(publisher.topics, subscriber.topics)
        )

    def _info(self, publisher: Client, topics: list[str]) -> PublisherInfo:
        return PublisherInfo(
            session=publisher.session,
            topics=topics,
            address=None if self._centralized else publisher.address,
            strengths={
                topic: publisher.strengths[topic]
                for topic in (topics if publisher.strengths else ())
                if topic in publisher.strengths
            },
            key=None if self._centralized else publisher.key,
            # The broker's own connection is by TCP.
            place=None if self._centralized else publisher.place,
        )

    def publishers_of(self, client: Client) -> list[PublisherInfo]:
        """The publishers of a subscriber's topics; empty for a publisher."""
        if client.role != "subscriber":
            return []
        found = []
        for session, topics in self._registry.published(client.topics).items():
            publisher = self._registry.get(session)
            assert publisher is not None, "it was found a moment ago"
            common = frozenset(topics)
            ordered = [topic for topic in publisher.topics if topic in common]
            found.append(self._info(publisher, ordered))
        return found

    def ports_of(
        self, client: Client, publishers: Iterable[PublisherInfo]
    ) -> dict[str, TopicPort]:
        """The ports of a subscriber's topics, and of the topics of its publishers."""
        if client.role != "subscriber" or not self._centralized:
            return {}
        names = [topic for topic in client.topics if not is_filter(topic)]
        names += [topic for info in publishers for topic in info.topics]
        if self._places is not None:
            return self._places.ports_of(client, dict.fromkeys(names))
        return dict(self._ports(dict.fromkeys(names)))

    def ports(self, topics: Iterable[str]) -> Mapping[str, TopicPort]:
        """The ports that forward these topics, if the model forwards."""
        return self._ports(topics) if self._centralized else {}

    def vouched(self, client: Client) -> list[Vouched]:
        """The keys that a publisher may accept; empty for a subscriber."""
        if self._grants is None or self._centralized or client.role != "publisher":
            return []
        return self._grants.vouched(client.topics)

    def demand(self, client: Client) -> Demand | None:
        """The subscribers for which a publisher's port needs room; None for a
        subscriber."""
        if client.role != "publisher":
            return None
        number, size = self._registry.needed()
        return Demand(
            subscriptions=min(number, LARGEST),
            size=min(size, LARGEST),
            forwarders=self._forwarders(),
        )

    def listeners(self, client: Client) -> dict[int, int]:
        """The subscribers of a publisher's topics, with the number of its topics that
        each must have before it has all. This is one if one topic brings the others.
        Subscribers with wildcards may have some topics already, as other publishers
        publish them too, and subscribe to the rest when they learn of this publisher.
        None for a subscriber."""
        if client.role != "publisher":
            return {}
        return dict(self._registry.subscribed(client.topics))
