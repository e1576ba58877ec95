"""The updates of a client's session for its role: registered, publishers changed, broker
lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pubsub_common.protocol.messages import (
    Demand,
    Departure,
    PublisherInfo,
    Registered,
    TopicPort,
    Vouched,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """Registered. ``again`` is true from the second time on. The shell then adapts its
    connections to ``reply.publishers`` and ``reply.ports``."""

    reply: Registered
    again: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PublishersUpdated:
    """Publishers of the client's topics have joined or left."""

    joined: Sequence[PublisherInfo]
    left: Sequence[Departure]
    ports: Mapping[str, TopicPort] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class GrantsUpdated:
    """The clients that this publisher may admit from now on."""

    vouched: Sequence[Vouched]


@dataclasses.dataclass(frozen=True, slots=True)
class BrokersUpdated:
    """The control addresses of the live brokers of the group."""

    brokers: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class DemandUpdated:
    """The load that this publisher's port must have room for."""

    demand: Demand


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """The broker refused this client, and another try does not help; ``ended`` if it had
    accepted it before."""

    code: str
    detail: str
    ended: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerLost:
    """The broker has sent nothing for a lease, or has sent `farewell`."""

    farewell: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Postponed:
    """The broker is busy; the client will ask again."""

    code: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class HeartbeatRefused:
    """The broker answered a heartbeat with an error; this client registers again."""

    code: str
    detail: str


SessionUpdate = (
    Accepted
    | PublishersUpdated
    | GrantsUpdated
    | BrokersUpdated
    | DemandUpdated
    | Rejected
    | Postponed
    | HeartbeatRefused
    | BrokerLost
)
