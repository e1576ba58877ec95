"""One client's connection, and what waits to be told to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import TopicPort, Vouched


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """A publisher that is gone. ``next_sequences`` are of its topics, those it told."""

    publisher: Client
    next_sequences: Mapping[str, int]
    revoked: bool


def own_ends(publisher: Client, next_sequences: Mapping[str, int]) -> dict[str, int]:
    """Those of the topics of a publisher: it chose itself how many there are."""
    topics = publisher.topics if next_sequences else ()
    return {topic: next_sequences[topic] for topic in topics if topic in next_sequences}


@dataclasses.dataclass(slots=True)
class ClientConnection:
    """Connection to one client: its peer id, the pushes sent, and what waits.

    ``changed`` are publishers that the client knows already: should one of them leave
    before it is told of the change, it must still be told that it left. ``vouched`` is
    for a publisher: the keys that it may accept now. ``brokers``: those of the group are
    others than it was told. ``ports`` are of topics that it is to have from elsewhere.
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
        """Whether nothing waits."""
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
        """What waits is not to be told any more."""
        self.vouched = None
        self.brokers = False
        self.joined.clear()
        self.changed.clear()
        self.left.clear()
        self.ports.clear()
