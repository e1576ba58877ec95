"""The shared state of a group of brokers, and its changes, which an engine delivers in
the same order to all brokers.

Records hold the state of the group, of each of its brokers and of each client.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import Model


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Settings on which all brokers of a group must agree."""

    format: int
    model: Model


class BrokerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A broker: its address for clients, its version, and in secure mode the digest of
    its policy and clients. A centralized broker also has the name of its forwarders,
    and their ports (`control.topic_spread.forwarder_of` chooses one for a topic)."""

    address: str
    version: str
    policy: str = ""
    forwarder: str = ""
    forwarding: tuple[int, ...] = ()


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A client as ``broker`` registered it; ``write`` numbers that broker's writes, so
    that it recognizes its own."""

    broker: str
    write: int
    client: Client


class LeftRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a client left: by itself, with the next sequence number of each of its
    topics, or because it was ``revoked``."""

    next_sequences: Mapping[str, int] = {}
    revoked: bool = False


def broker_name(epoch: int) -> str:
    """The name of a broker in its group, new at each start."""
    return f"{epoch:x}"


class PutClient(msgspec.Struct, frozen=True):
    """A client registered, first or again, at the broker in the record."""

    record: ClientRecord
    revision: int


class DeleteClient(msgspec.Struct, frozen=True):
    """A client is gone. ``left`` has the details; None: its lease expired, or its
    broker's."""

    record: ClientRecord
    left: LeftRecord | None
    revision: int


class Overtaken(msgspec.Struct, frozen=True):
    """Another broker has written this client, so the own proposal is void: the client
    has moved there. This change may come twice."""

    session: int


class BrokerCame(msgspec.Struct, frozen=True):
    """A broker has started, or changed its record."""

    broker: str
    record: BrokerRecord
    revision: int


class BrokerWent(msgspec.Struct, frozen=True):
    """A broker is dead. Its clients stay registered for a while."""

    broker: str
    revision: int


class AboutTold(msgspec.Struct, frozen=True):
    """The agreed settings of the group; None: they are gone."""

    about: About | None
    revision: int


class Restored(msgspec.Struct, frozen=True):
    """The engine is back at an earlier state, for example from a backup: each broker
    writes its own records again. Clients that the engine has lost are kept for a while.
    """

    revision: int


class Malformed(msgspec.Struct, frozen=True):
    """A key of the group has an invalid value; it counts as missing."""

    key: bytes
    reason: str
    revision: int


Change = (
    PutClient
    | DeleteClient
    | Overtaken
    | BrokerCame
    | BrokerWent
    | AboutTold
    | Restored
    | Malformed
)
