"""What the mirror tells of: the changes of a group, in etcd's order."""

from __future__ import annotations

import msgspec

from pubsub_broker.registry.etcd.records import (
    About,
    BrokerRecord,
    ClientRecord,
    LeftRecord,
)


class PutClient(msgspec.Struct, frozen=True):
    """A client registered, or again, at the broker that the record names."""

    record: ClientRecord
    revision: int


class DeleteClient(msgspec.Struct, frozen=True):
    """A client is gone. ``left`` says how it left; None: its lease ended, or its broker's."""

    record: ClientRecord
    left: LeftRecord | None
    revision: int


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
    """etcd is what it was some time ago, as after a backup was restored: each broker writes
    its own anew. Clients that etcd has forgotten are kept for a while."""

    revision: int


class Malformed(msgspec.Struct, frozen=True):
    """A key of the group has a value that is not understood; it counts as not there."""

    key: bytes
    reason: str
    revision: int


Change = (
    PutClient
    | DeleteClient
    | BrokerCame
    | BrokerWent
    | AboutTold
    | Restored
    | Malformed
)
