"""The effects of the subscriber's core, which the shell performs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo, TopicPort
from pubsub_common.protocol.sequence import Gap


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """Events are lost. For the user, before events that are delivered."""

    gap: Gap


@dataclasses.dataclass(frozen=True, slots=True)
class Deliver:
    """The next events for the user."""

    events: Sequence[Event]


@dataclasses.dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that no publisher of this subscriber may send. It is counted. For the log."""

    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Jumped:
    """A publisher's number of a topic is too far beyond the expected one: the stream is
    ignored from now on. For the log."""

    publisher: str
    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Subscribe to the private topic ``raw``, on the path of the events of ``publisher`` (its
    session) and ``topic``."""

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
    """Stop receiving from a publisher; ``address_in_use`` if another publisher has its
    address now (decentralized)."""

    publisher: PublisherInfo
    address_in_use: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe to these topics too (decentralized)."""

    topics: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Unsubscribe from this topic."""

    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class Listen:
    """Receive from the broker, on these ports by topic and on no others (centralized).
    ``topic_count`` is the number of topics in all."""

    ports: Mapping[str, TopicPort]
    topic_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class PublisherJoined:
    """A publisher has joined. For the user."""

    publisher: PublisherInfo


@dataclasses.dataclass(frozen=True, slots=True)
class PublisherLeft:
    """A publisher has left. For the user."""

    publisher: PublisherInfo


@dataclasses.dataclass(frozen=True, slots=True)
class NoHistory:
    """A publisher has no history, but the beginning of its stream was requested. For the log."""

    publisher: str
    topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class OwnerIdle:
    """The owner of a topic has sent nothing for too long while others have: it is skipped
    until it sends something. For the log."""

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
