"""The registry of a single broker, in its process's memory."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pubsub_broker.registry.interface import Client, topic_memory
from pubsub_broker.registry.needs import Needs
from pubsub_broker.registry.topic_index import TopicIndex
from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.messages import Role


class MemoryRegistry:
    """`Registry` in this process's memory.

    All leases have the same length, so the order of the last renewals is the order
    of expiry: one ordered dictionary makes put, renew and expire O(1) per client.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        # In the order of the last renewals.
        self._clients: OrderedDict[int, Client] = OrderedDict()
        self._renewed_at: dict[int, float] = {}
        self._index = TopicIndex()
        self._by_address: dict[str, int] = {}
        # How many clients each address has, and how much memory their topics take.
        self._by_origin: dict[str | None, tuple[int, int]] = {}
        self._publishers_by_origin: Counter[str | None] = Counter()
        self._topic_memory = 0
        self._needs = Needs()

    def put(self, client: Client, now: float) -> Client | None:
        previous = self.remove(client.session)
        self._clients[client.session] = client
        self._renewed_at[client.session] = now
        self._index.add(client)
        if client.role == "publisher":
            self._by_address[client.address] = client.session
        self._count(client, 1)
        self._needs.add(client, 1)
        return previous

    def get(self, session: int) -> Client | None:
        return self._clients.get(session)

    def renew(self, session: int, now: float) -> bool:
        if session not in self._clients:
            return False
        self._renewed_at[session] = now
        self._clients.move_to_end(session)
        return True

    def remove(self, session: int) -> Client | None:
        client = self._clients.pop(session, None)
        if client is None:
            return None
        del self._renewed_at[session]
        self._index.remove(client)
        if self._by_address.get(client.address) == session:
            del self._by_address[client.address]
        self._count(client, -1)
        self._needs.add(client, -1)
        return client

    def expire(self, now: float) -> list[Client]:
        expired = []
        while (due := self.next_expiry()) is not None and due <= now:
            session, client = next(iter(self._clients.items()))
            self.remove(session)
            expired.append(client)
        return expired

    def next_expiry(self) -> float | None:
        if not self._clients:
            return None
        return self._renewed_at[next(iter(self._clients))] + self._lease_s

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        names = tuple(topics)
        find = self._index.published if role == "publisher" else self._index.subscribed
        return (self._clients[session] for session in find(names))

    def published(self, subscriptions: Sequence[str]) -> Mapping[int, Sequence[str]]:
        return self._index.published(tuple(subscriptions))

    def subscribed(self, topics: Sequence[str]) -> Mapping[int, int]:
        return self._index.subscribed(tuple(topics))

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
        return self._by_origin.get(origin, (0, 0))[0]

    def publishers_from(self, origin: str) -> int:
        return self._publishers_by_origin[origin]

    def topic_memory(self, origin: str | None = None) -> int:
        if origin is None:
            return self._topic_memory
        return self._by_origin.get(origin, (0, 0))[1]

    def _count(self, client: Client, sign: int) -> None:
        taken = sign * topic_memory(client.topics)
        self._topic_memory += taken
        if client.role == "publisher":
            self._publishers_by_origin[client.origin] += sign
        clients, before = self._by_origin.get(client.origin, (0, 0))
        if clients + sign:
            self._by_origin[client.origin] = clients + sign, before + taken
        else:
            del self._by_origin[client.origin]
            self._publishers_by_origin.pop(client.origin, None)
