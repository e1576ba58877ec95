"""What the broker's core asks its shell to do."""

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
    """Begin to receive the events of a publisher (centralized); of one with a ``key``
    only those of its ``topics``, in the name of its ``session``."""

    address: str
    topics: tuple[str, ...]
    key: str | None = None
    session: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Detach:
    """Stop receiving the events of a publisher, once what is under way has arrived,
    or ``at_once`` (centralized)."""

    address: str
    at_once: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """A client registered. For the log."""

    client: Client
    again: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Departed:
    """A client is gone. For the log."""

    client: Client
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A message was answered with an error. For the log."""

    peer: bytes
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class EventsLost:
    """A subscriber has lost so many more events of each topic. For the log."""

    client: Client
    events: Mapping[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class NotReturned:
    """Clients of an earlier run of this broker did not come back. For the log."""

    clients: tuple[ClientStatus, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ProposePut:
    """Have the group's engine write that a client is registered at this broker."""

    client: Client


@dataclasses.dataclass(frozen=True, slots=True)
class ProposeDelete:
    """Have it write that a client of this broker is gone; ``left`` says how, if others need
    to know."""

    session: int
    left: LeftRecord | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """A client of this broker is registered at another one now, ``broker``. For the log."""

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
