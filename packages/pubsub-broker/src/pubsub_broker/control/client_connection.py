"""One client's connection, with its queued notifications."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import TopicPort, Vouched


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """A publisher that has left. ``next_sequences`` are those of its topics that it
    reported."""

    publisher: Client
    next_sequences: Mapping[str, int]
    revoked: bool


def own_ends(publisher: Client, next_sequences: Mapping[str, int]) -> dict[str, int]:
    """Limit the sequences to the publisher's topics, as the publisher chose their
    number."""
    topics = publisher.topics if next_sequences else ()
    return {topic: next_sequences[topic] for topic in topics if topic in next_sequences}


@dataclasses.dataclass(slots=True)
class ClientConnection:
    """The connection of one client: its peer id, the pushes sent, and the queued
    changes.

    ``changed`` are publishers that the client knows already: if one of them leaves
    before the client gets the change, the client still gets the departure. ``vouched``
    are the keys that a publisher may accept now. ``brokers``: the list of brokers in
    the group has changed. ``ports`` are for topics that the client gets from another
    port.
    """

    peer: bytes
    revision: int = 0
    joined: dict[int, Client] = dataclasses.field(default_factory=dict)
    changed: dict[int, Client] = dataclasses.field(default_factory=dict)
    left: dict[int, Left] = dataclasses.field(default_factory=dict)
    vouched: list[Vouched] | None = None
    brokers: bool = False
    ports: dict[str, TopicPort] = dataclasses.field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Whether nothing is queued."""
        return self.vouched is None and not self.brokers and not self.waits

    @property
    def waits(self) -> bool:
        """Whether a publisher came, changed or left, or a topic moved, since the last
        push."""
        return bool(self.joined or self.changed or self.left or self.ports)

    def next_revision(self) -> int:
        """The number of the next push."""
        self.revision += 1
        return self.revision

    def forget_pending(self) -> None:
        """Discard the queued changes."""
        self.vouched = None
        self.brokers = False
        self.joined.clear()
        self.changed.clear()
        self.left.clear()
        self.ports.clear()
