"""A registry in this process's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pubsub_broker.registry.interface import Client
from pubsub_broker.registry.needs import Needs
from pubsub_broker.registry.occupancy import Occupancy
from pubsub_broker.registry.topic_index import TopicIndex
from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.messages import Role


class MemoryRegistry:
    """`Registry` in this process's memory."""

    def __init__(self) -> None:
        self._clients: dict[int, Client] = {}
        self._index = TopicIndex()
        self._by_address: dict[str, int] = {}
        self._occupancy = Occupancy()
        self._needs = Needs()

    def put(self, client: Client) -> Client | None:
        previous = self.remove(client.session)
        self._clients[client.session] = client
        self._index.add(client)
        if client.role == "publisher":
            self._by_address[client.address] = client.session
        self._occupancy.add(client, 1)
        self._needs.add(client, 1)
        return previous

    def get(self, session: int) -> Client | None:
        return self._clients.get(session)

    def remove(self, session: int) -> Client | None:
        client = self._clients.pop(session, None)
        if client is None:
            return None
        self._index.remove(client)
        if self._by_address.get(client.address) == session:
            del self._by_address[client.address]
        self._occupancy.add(client, -1)
        self._needs.add(client, -1)
        return client

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        names = tuple(topics)
        find = self._index.published if role == "publisher" else self._index.subscribed
        return (self._clients[session] for session in find(names))

    def published(self, subscriptions: Sequence[str]) -> Mapping[int, Sequence[str]]:
        return self._index.published(tuple(subscriptions))

    def subscribed(self, topics: Sequence[str]) -> Mapping[int, int]:
        return self._index.subscribed(tuple(topics))

    def subscriber_count(self, topic: str) -> int:
        return self._index.subscriber_count(topic)

    def subscription_count(self) -> int:
        return self._needs.subscription_count()

    def needed(self) -> Subscriptions:
        return self._needs.total()

    def publisher_at(self, address: str) -> Client | None:
        session = self._by_address.get(address)
        return None if session is None else self._clients[session]

    def clients(self) -> Iterator[Client]:
        return iter(self._clients.values())

    def count(self) -> int:
        return len(self._clients)

    def count_from(self, origin: str) -> int:
        return self._occupancy.clients(origin)

    def publishers_from(self, origin: str) -> int:
        return self._occupancy.publishers(origin)

    def topic_memory(self, origin: str | None = None) -> int:
        return self._occupancy.topic_memory(origin)
