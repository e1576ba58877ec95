"""The effects that the broker's core returns to its shell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pubsub_broker.registry.changes import LeftRecord
from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import ClientStatus, Reply


@dataclasses.dataclass(frozen=True, slots=True)
class Send:
    """Send a control message to the connection ``peer``."""

    peer: bytes
    message: Reply


@dataclasses.dataclass(frozen=True, slots=True)
class Attach:
    """Receive the events of a publisher (centralized). If it has a ``key``: only events
    of its ``topics`` and ``session``."""

    address: str
    topics: tuple[str, ...]
    key: str | None = None
    session: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Detach:
    """Stop receiving the events of a publisher (centralized): when the events under way
    have arrived, or immediately (``at_once``)."""

    address: str
    at_once: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """A client registered. ``before`` is the same client with other topics, which it replaces.
    For the log."""

    client: Client
    again: bool
    before: Client | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Departed:
    """A client has left. For the log."""

    client: Client
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A message was answered with an error. For the log."""

    peer: bytes
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class EventsLost:
    """A subscriber has lost this many more events of each topic. For the log."""

    client: Client
    events: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class NotReturned:
    """Clients of an earlier run of this broker did not reconnect. For the log."""

    clients: tuple[ClientStatus, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ProposePut:
    """Have the group's engine write that a client is registered at this broker."""

    client: Client


@dataclasses.dataclass(frozen=True, slots=True)
class ProposeDelete:
    """Have the group's engine write that a client of this broker is gone. ``left`` has
    the details, if other brokers need them."""

    session: int
    left: LeftRecord | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """A client of this broker is now registered at another one (``broker``). For the
    log."""

    client: Client
    broker: str


Effect = (
    Send
    | Attach
    | Detach
    | Joined
    | Departed
    | Rejected
    | EventsLost
    | NotReturned
    | ProposePut
    | ProposeDelete
    | Moved
)
