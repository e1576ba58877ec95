"""The registered clients, and the interface of what finds them.

Which broker a client is registered at, and when its lease ends, is kept elsewhere
(`pubsub_broker.control.clients`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.messages import Register, Role


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """What one client has registered with. ``address`` is ``IP:port`` of a publisher's data
    port and ``IP`` of a subscriber, ``strengths`` are a publisher's by topic. ``key`` is
    its public key, where the broker is secure, and ``key_name`` the name under which that
    is enrolled. ``origin`` is the IP address from which it registered, or its group
    (`group_of`), if that is known.

    A field that `Register` has too is taken from there by its name (`of`)."""

    session: int
    role: Role
    address: str
    topics: tuple[str, ...]
    clock: str
    strengths: Mapping[str, int] = msgspec.field(default_factory=dict)
    key: str | None = None
    key_name: str = ""
    origin: str | None = None

    @classmethod
    def of(cls, request: Register, **given: Any) -> Client:
        """The client that a registration describes; fields in ``given`` are not taken
        from it."""
        copied = {name: getattr(request, name) for name in _COPIED_FIELDS}
        return cls(**(copied | given))


_COPIED_FIELDS: Final = tuple(
    name for name in Client.__struct_fields__ if name in Register.__struct_fields__
)


class Registry(Protocol):
    """Keeps clients, and finds them."""

    def put(self, client: Client) -> Client | None:
        """Add a client, or replace the one of the same session; returns that one.

        The caller has removed an earlier publisher at a new one's address.
        """

    def get(self, session: int) -> Client | None:
        """The client of this session."""

    def remove(self, session: int) -> Client | None:
        """Forget a client; returns it. Forgetting an unknown one is not an error."""

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        """Each client of ``role`` that has at least one of ``topics``, once. Topics of
        subscribers, given or registered, may hold wildcards."""

    def published(self, subscriptions: Sequence[str]) -> Mapping[int, Sequence[str]]:
        """The publishers that have topics which any of these topics and wildcards stands
        for, by session, and these topics."""

    def subscribed(self, topics: Sequence[str]) -> Mapping[int, int]:
        """The subscribers of any of these topics, by session, and how many of them it has;
        1 for one without wildcards."""

    def subscriber_count(self, topic: str) -> int:
        """How many clients have subscribed to exactly this topic."""

    def subscription_count(self) -> int:
        """The topics and wildcards of all subscribers together."""

    def needed(self) -> Subscriptions:
        """What all subscribers together may subscribe to at one port."""

    def publisher_at(self, address: str) -> Client | None:
        """The publisher with this data port."""

    def clients(self) -> Iterator[Client]:
        """All clients."""

    def count(self) -> int:
        """How many clients there are."""

    def count_from(self, origin: str) -> int:
        """How many clients registered from this address."""

    def publishers_from(self, origin: str) -> int:
        """How many of them are publishers."""

    def topic_memory(self, origin: str | None = None) -> int:
        """The memory that the topics of all clients take, or of those from this address, as
        `topic_memory` has it."""


# What each topic, and each of its levels, takes besides its text: measured, and rounded up.
_TOPIC_BYTES: Final = 512
_LEVEL_BYTES: Final = 128


def topic_memory(topics: Iterable[str]) -> int:
    """How many bytes of memory these topics take at most, about. What it takes to look for
    them depends on that, too."""
    return sum(
        _TOPIC_BYTES + len(topic) + _LEVEL_BYTES * (topic.count("/") + 1)
        for topic in topics
    )
