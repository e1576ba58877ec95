"""Who is there: clients, their topics and their leases. Core.

`Registry` is the seam for an engine shared by several brokers; `MemoryRegistry`
is the one for a single broker. Time is an argument, in seconds.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from pubsub_broker.control.rates import Published
from pubsub_common.protocol.messages import ClockOffset, Latency, Role
from pubsub_common.protocol.wildcards import Filters, is_filter, matches


@dataclasses.dataclass(slots=True)
class Client:
    """One registered client. ``address`` is ``IP:port`` of a publisher's data port and
    ``IP`` of a subscriber; ``offset`` is what the client said of its clock,
    ``strengths`` are a publisher's by topic, ``lost`` a subscriber's events by topic.
    ``user`` is its public key, where the broker is secure, and ``name`` as what it is
    enrolled.
    ``published`` is what a publisher has told of its counts, ``latency`` what a
    subscriber has told in its last heartbeat. ``origin`` is the IP address from which it
    registered, if that is known."""

    session: int
    role: Role
    address: str
    topics: tuple[str, ...]
    clock: str
    renewed_at: float
    offset: ClockOffset | None = None
    strengths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    lost: Mapping[str, int] = dataclasses.field(default_factory=dict)
    user: str | None = None
    name: str = ""
    published: Published | None = None
    latency: Latency | None = None
    origin: str | None = None


class Registry(Protocol):
    """What a broker needs to know and to be told."""

    def put(self, client: Client) -> Client | None:
        """Add a client, or replace the one of the same session; returns that one.

        The caller has removed an earlier publisher at a new one's address.
        """

    def get(self, session: int) -> Client | None:
        """The client of this session."""

    def renew(self, session: int, now: float) -> bool:
        """Extend a lease; False when there is no such session."""

    def remove(self, session: int) -> Client | None:
        """Forget a client; returns it. Forgetting an unknown one is no error."""

    def expire(self, now: float) -> list[Client]:
        """Forget the clients whose lease has ended; returns them."""

    def next_expiry(self) -> float | None:
        """When the next lease ends; None without clients."""

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        """Each client of ``role`` that has at least one of ``topics``, once. Topics of
        subscribers, given or registered, may hold wildcards."""

    def publisher_at(self, address: str) -> Client | None:
        """The publisher with this data port."""

    def clients(self) -> Iterator[Client]:
        """All clients."""

    def count(self) -> int:
        """How many clients there are."""

    def count_from(self, origin: str) -> int:
        """How many clients registered from this address."""


class MemoryRegistry:
    """`Registry` in this process's memory.

    All leases have the same length, so the order of the last renewals is the order
    of expiry: one ordered dictionary makes put, renew and expire O(1) per client.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._clients: OrderedDict[int, Client] = OrderedDict()
        self._by_topic: dict[tuple[Role, str], dict[int, None]] = {}
        self._filters: Filters[int] = Filters()
        self._by_address: dict[str, int] = {}
        self._by_origin: dict[str, int] = {}

    def put(self, client: Client) -> Client | None:
        previous = self.remove(client.session)
        self._clients[client.session] = client
        for topic in client.topics:
            key = (client.role, topic)
            self._by_topic.setdefault(key, {})[client.session] = None
            if client.role == "subscriber" and is_filter(topic):
                self._filters.add(topic, client.session)
        if client.role == "publisher":
            self._by_address[client.address] = client.session
        if client.origin is not None:
            self._by_origin[client.origin] = self.count_from(client.origin) + 1
        return previous

    def get(self, session: int) -> Client | None:
        return self._clients.get(session)

    def renew(self, session: int, now: float) -> bool:
        client = self._clients.get(session)
        if client is None:
            return False
        client.renewed_at = now
        self._clients.move_to_end(session)
        return True

    def remove(self, session: int) -> Client | None:
        client = self._clients.pop(session, None)
        if client is None:
            return None
        for topic in client.topics:
            key = (client.role, topic)
            sessions = self._by_topic[key]
            del sessions[session]
            if not sessions:
                del self._by_topic[key]
            if client.role == "subscriber" and is_filter(topic):
                self._filters.discard(topic, session)
        if self._by_address.get(client.address) == session:
            del self._by_address[client.address]
        if client.origin is not None:
            self._by_origin[client.origin] -= 1
            if not self._by_origin[client.origin]:
                del self._by_origin[client.origin]
        return client

    def expire(self, now: float) -> list[Client]:
        gone = []
        while self._clients:
            client = next(iter(self._clients.values()))
            if client.renewed_at + self._lease_s > now:
                break
            self.remove(client.session)
            gone.append(client)
        return gone

    def next_expiry(self) -> float | None:
        if not self._clients:
            return None
        return next(iter(self._clients.values())).renewed_at + self._lease_s

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        sessions: dict[int, None] = {}
        for topic in topics:
            sessions.update(self._by_topic.get((role, topic), {}))
            if role == "subscriber":
                sessions.update(dict.fromkeys(self._filters.matching(topic)))
            elif is_filter(topic):
                for (other, name), found in self._by_topic.items():
                    if other == role and matches(topic, name):
                        sessions.update(found)
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
