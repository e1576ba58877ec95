"""The registry of a single broker, in its process's memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.filter_tree import FilterTree
from pubsub_common.protocol.messages import Role
from pubsub_common.protocol.wildcards import is_filter

# Topics for which a matcher, which looks at many filters first, is not worth it.
_FEW: Final = 16


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
        self._by_topic: dict[tuple[Role, str], dict[int, None]] = {}
        self._filters: FilterTree[int] = FilterTree()
        self._by_role: dict[Role, dict[int, None]] = {"publisher": {}, "subscriber": {}}
        # By role, what `matching` was asked last, and found: one registration asks thrice.
        self._found: dict[Role, tuple[tuple[str, ...], tuple[int, ...]]] = {}
        self._by_address: dict[str, int] = {}
        self._by_origin: dict[str, int] = {}

    def put(self, client: Client, now: float) -> Client | None:
        previous = self.remove(client.session)
        self._clients[client.session] = client
        self._renewed_at[client.session] = now
        for topic in client.topics:
            key = (client.role, topic)
            self._by_topic.setdefault(key, {})[client.session] = None
            if client.role == "subscriber" and is_filter(topic):
                self._filters.add(topic, client.session)
        self._by_role[client.role][client.session] = None
        self._found.pop(client.role, None)
        if client.role == "publisher":
            self._by_address[client.address] = client.session
        if client.origin is not None:
            self._by_origin[client.origin] = self.count_from(client.origin) + 1
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
        for topic in client.topics:
            key = (client.role, topic)
            sessions = self._by_topic[key]
            del sessions[session]
            if not sessions:
                del self._by_topic[key]
            if client.role == "subscriber" and is_filter(topic):
                self._filters.discard(topic, session)
        del self._by_role[client.role][session]
        self._found.pop(client.role, None)
        if self._by_address.get(client.address) == session:
            del self._by_address[client.address]
        if client.origin is not None:
            self._by_origin[client.origin] -= 1
            if not self._by_origin[client.origin]:
                del self._by_origin[client.origin]
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
        wanted = tuple(topics)
        asked, sessions = self._found.get(role, ((), ()))
        if asked != wanted:
            find = self._subscribers if role == "subscriber" else self._publishers
            sessions = tuple(find(wanted))
            self._found[role] = wanted, sessions
        return (self._clients[session] for session in sessions)

    def publisher_at(self, address: str) -> Client | None:
        session = self._by_address.get(address)
        return None if session is None else self._clients[session]

    def clients(self) -> Iterator[Client]:
        return iter(self._clients.values())

    def count(self) -> int:
        return len(self._clients)

    def count_from(self, origin: str) -> int:
        return self._by_origin.get(origin, 0)

    def _subscribers(self, topics: tuple[str, ...]) -> Iterable[int]:
        """The sessions of the subscribers of at least one of these topics."""
        sessions: dict[int, None] = {}
        count = len(self._by_role["subscriber"])
        matcher = self._filters.matcher() if len(topics) > _FEW else None
        for topic in topics:
            if len(sessions) == count:
                break  # as with a subscriber of all topics, and a publisher of thousands
            sessions.update(self._by_topic.get(("subscriber", topic), {}))
            if matcher is None:
                sessions.update(dict.fromkeys(self._filters.matching(topic)))
            else:
                for found in matcher.keys(topic):
                    sessions.update(found)
        return sessions

    def _publishers(self, subscriptions: tuple[str, ...]) -> Iterable[int]:
        """The sessions of the publishers that have a topic of these subscriptions."""
        sessions: dict[int, None] = {}
        for topic in subscriptions:
            sessions.update(self._by_topic.get(("publisher", topic), {}))
        if any(map(is_filter, subscriptions)):
            # One look at each topic, however many filters there are: the product of the
            # two is minutes for clients that have thousands.
            covers = FilterTree.of(subscriptions).matcher().matches
            for session in self._by_role["publisher"]:
                topics = self._clients[session].topics
                if session not in sessions and any(map(covers, topics)):
                    sessions[session] = None
        return sessions
