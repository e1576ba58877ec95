"""What the subscriber's core asks its shell to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_common.protocol.sequence import Gap


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """Events are known to be lost. For the user, before events that are delivered."""

    gap: Gap


@dataclasses.dataclass(frozen=True, slots=True)
class Deliver:
    """These events come next for the user."""

    events: Sequence[Event]


@dataclasses.dataclass(frozen=True, slots=True)
class Malformed:
    """A frame was none that a publisher of ours may send. It is counted. For the log."""

    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Jumped:
    """A publisher's number of a topic is too far beyond the expected one: nothing of that
    stream counts any more. For the log."""

    publisher: str
    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Subscribe to the private topic ``raw``, where events of ``publisher`` (its session)
    and ``topic`` come from."""

    publisher: int
    topic: str
    raw: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Withdraw:
    """End the subscription of a `Request`."""

    publisher: int
    topic: str
    raw: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Connect:
    """Receive from a publisher (decentralized)."""

    publisher: PublisherInfo


@dataclasses.dataclass(frozen=True, slots=True)
class Disconnect:
    """Receive from a publisher no longer; ``address_in_use`` when another one has taken
    its address over (decentralized)."""

    publisher: PublisherInfo
    address_in_use: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Subscribe:
    """These topics are wanted, besides earlier ones (decentralized)."""

    topics: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Unsubscribe:
    """This topic is wanted no longer."""

    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class Listen:
    """Receive from the broker, on these ports by topic and on no others (centralized).
    ``topic_count`` is how many topics there are in all."""

    ports: Mapping[str, TopicPort]
    topic_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class PublisherJoined:
    """A publisher is there. For the user."""

    publisher: PublisherInfo


@dataclasses.dataclass(frozen=True, slots=True)
class PublisherLeft:
    """A publisher is gone. For the user."""

    publisher: PublisherInfo


@dataclasses.dataclass(frozen=True, slots=True)
class NoHistory:
    """A publisher keeps no history, though the beginning of its stream was wanted. For
    the log."""

    publisher: str
    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class OwnerIdle:
    """The owner of a topic has sent nothing for too long while others have: it does not own
    it until it sends something. For the log."""

    publisher: str
    topic: str


Effect = (
    Lost
    | Deliver
    | Malformed
    | Jumped
    | Request
    | Withdraw
    | Connect
    | Disconnect
    | Subscribe
    | Unsubscribe
    | Listen
    | PublisherJoined
    | PublisherLeft
    | NoHistory
    | OwnerIdle
)
