"""What a group of brokers knows in common, and what an engine tells of it: its changes, in one
order, the same at all brokers.

Records are what is kept of the group, of each of its brokers and of each client.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pubsub_broker.registry.interface import Client
from pubsub_common.protocol.messages import Model


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What all brokers of a group must agree on."""

    format: int
    model: Model


class BrokerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A broker: where clients find it, its version, the digest of its policy and clients
    where it is secure, and where it is centralized the name of its forwarders, and their
    ports (`control.topic_spread.forwarder_of` tells which has a topic)."""

    address: str
    version: str
    policy: str = ""
    forwarder: str = ""
    forwarding: tuple[int, ...] = ()


class ClientRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A client as ``broker`` registered it; ``write`` numbers that broker's writes, so that
    it knows its own again."""

    broker: str
    write: int
    client: Client


class LeftRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a client left: by itself, with its next sequence number of each topic, or
    because it was ``revoked``."""

    next_sequences: Mapping[str, int] = {}
    revoked: bool = False


def broker_name(epoch: int) -> str:
    """The name of a broker in its group, of this start of it."""
    return f"{epoch:x}"


class PutClient(msgspec.Struct, frozen=True):
    """A client registered, or again, at the broker that the record names."""

    record: ClientRecord
    revision: int


class DeleteClient(msgspec.Struct, frozen=True):
    """A client is gone. ``left`` says how it left; None: its lease ended, or its broker's."""

    record: ClientRecord
    left: LeftRecord | None
    revision: int


class Overtaken(msgspec.Struct, frozen=True):
    """Another broker has written of this client, so what was proposed of it is void: the
    client has moved there. It may be said twice."""

    session: int


class BrokerCame(msgspec.Struct, frozen=True):
    """A broker is there, or says something else of itself."""

    broker: str
    record: BrokerRecord
    revision: int


class BrokerWent(msgspec.Struct, frozen=True):
    """A broker is no longer alive. Its clients are still there, for a while."""

    broker: str
    revision: int


class AboutTold(msgspec.Struct, frozen=True):
    """What the group has agreed on; None: that is no longer there."""

    about: About | None
    revision: int


class Restored(msgspec.Struct, frozen=True):
    """The engine is what it was some time ago, as after a backup was restored: each broker
    writes its own anew. Clients that it has forgotten are kept for a while."""

    revision: int


class Malformed(msgspec.Struct, frozen=True):
    """A key of the group has a value that is not understood; it counts as not there."""

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
