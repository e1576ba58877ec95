"""Who is there: clients, their topics and their leases.

`Registry` is the seam for an engine shared by several brokers; `MemoryRegistry`
is the one for a single broker. Time is an argument, in seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from pubsub_broker.control.rates import Published
from pubsub_common.protocol.messages import ClockOffset, Latency, Role


@dataclasses.dataclass(slots=True)
class Client:
    """One registered client. ``address`` is ``IP:port`` of a publisher's data port and
    ``IP`` of a subscriber; ``offset`` is what the client said of its clock,
    ``strengths`` are a publisher's by topic, ``lost`` a subscriber's events by topic.
    ``key`` is its public key, where the broker is secure, and ``key_name`` the name under
    which that is enrolled.
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
    key: str | None = None
    key_name: str = ""
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
