"""What a client's session reports to its role: registered, publishers changed, broker lost."""

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
    """Registered. ``again`` is true from the second time on. The shell must then
    bring its connections in line with ``reply.publishers`` and ``reply.ports``."""

    reply: Registered
    again: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PublishersUpdated:
    """Publishers of the client's topics came or went."""

    joined: Sequence[PublisherInfo]
    left: Sequence[Departure]
    ports: Mapping[str, TopicPort] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class GrantsUpdated:
    """The clients that this publisher may admit from here on."""

    vouched: Sequence[Vouched]


@dataclasses.dataclass(frozen=True, slots=True)
class BrokersUpdated:
    """The control addresses of the live brokers of the group, from here on."""

    brokers: Sequence[str]


@dataclasses.dataclass(frozen=True, slots=True)
class DemandUpdated:
    """What this publisher's port must have room for."""

    demand: Demand


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """The broker will not have this client, and asking again will not help; ``ended``
    when it had accepted it before."""

    code: str
    detail: str
    ended: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerLost:
    """The broker has sent nothing for a lease, or has sent `farewell`."""

    farewell: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Postponed:
    """The broker has no time for this client yet; it will be asked again."""

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
