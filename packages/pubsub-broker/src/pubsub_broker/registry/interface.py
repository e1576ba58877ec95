"""The registered clients, and the interface for finding them.

The broker of each client, and its lease, are kept elsewhere
(`pubsub_broker.control.clients`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from pubsub_common.limits.port_limits import Subscriptions
from pubsub_common.protocol.messages import Register, Role


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """The registration of one client. ``address`` is ``IP:port`` of a publisher's data
    port or ``IP`` of a subscriber; ``strengths`` are a publisher's, by topic. In secure
    mode, ``key`` is its public key, and ``key_name`` the name under which the key is
    enrolled. ``name`` is the client's own, "" for none; ``place`` is as in Register.
    ``origin`` is the IP address from which it registered, or its group (`group_of`), if
    known.

    `of` copies the fields that `Register` has too.
    """

    session: int
    role: Role
    address: str
    topics: tuple[str, ...]
    clock: str
    strengths: Mapping[str, int] = msgspec.field(default_factory=dict)
    name: str = ""
    place: str | None = None
    key: str | None = None
    key_name: str = ""
    origin: str | None = None

    @classmethod
    def of(cls, request: Register, **given: Any) -> Client:
        """The client that a registration describes; fields in ``given`` override it."""
        copied = {name: getattr(request, name) for name in _COPIED_FIELDS}
        return cls(**(copied | given))


_COPIED_FIELDS: Final = tuple(
    name for name in Client.__struct_fields__ if name in Register.__struct_fields__
)


class Registry(Protocol):
    """Keeps clients, and finds them."""

    def put(self, client: Client) -> Client | None:
        """Add a client, or replace the one of the same session and return that.

        The caller has removed any earlier publisher at the address of a new one.
        """

    def get(self, session: int) -> Client | None:
        """The client of this session."""

    def remove(self, session: int) -> Client | None:
        """Remove and return a client; None if it is unknown."""

    def matching(self, role: Role, topics: Iterable[str]) -> Iterator[Client]:
        """Each client of ``role`` that has at least one of ``topics``, once. Topics of
        subscribers, given or registered, may contain wildcards."""

    def published(self, subscriptions: Sequence[str]) -> Mapping[int, Sequence[str]]:
        """The publishers that match any of these topics and wildcards, by session, each
        with its matching topics."""

    def subscribed(self, topics: Sequence[str]) -> Mapping[int, int]:
        """The subscribers of any of these topics, by session, with the number of these
        topics that each has; 1 for one without wildcards."""

    def subscriber_count(self, topic: str) -> int:
        """The number of clients that have subscribed to exactly this topic."""

    def subscription_count(self) -> int:
        """The topics and wildcards of all subscribers together."""

    def needed(self) -> Subscriptions:
        """The most subscriptions that all subscribers together may make at one port."""

    def publisher_at(self, address: str) -> Client | None:
        """The publisher with this data port."""

    def clients(self) -> Iterator[Client]:
        """All clients."""

    def count(self) -> int:
        """The number of clients."""

    def count_from(self, origin: str) -> int:
        """The number of clients from this address."""

    def publishers_from(self, origin: str) -> int:
        """The number of publishers from this address."""

    def topic_memory(self, origin: str | None = None) -> int:
        """The memory for the topics of all clients, or of those from this address, by
        `topic_memory`."""


# The memory per topic, and per level of a topic, in addition to its text: measured, and
# rounded up.
_TOPIC_BYTES: Final = 512
_LEVEL_BYTES: Final = 128


def topic_memory(topics: Iterable[str]) -> int:
    """An upper estimate of the bytes of memory for these topics. The time to search for
    them depends on it, too."""
    return sum(
        _TOPIC_BYTES + len(topic) + _LEVEL_BYTES * (topic.count("/") + 1)
        for topic in topics
    )
