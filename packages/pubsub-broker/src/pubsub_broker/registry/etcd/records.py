"""The records of a group of brokers in etcd: keys and values.

::

    /pubsub/<group>/about               format and model of the group
    /pubsub/<group>/brokers/<broker>    a broker that is alive
    /pubsub/<group>/clients/<session>   a registered client, and its broker
    /pubsub/<group>/left/<session>      how a client left, for a minute

Values are JSON. Unknown fields are ignored, so that brokers of several versions
can be in a group; `About` has the settings on which they must agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from pubsub_broker.registry.changes import About, BrokerRecord, ClientRecord, LeftRecord
from pubsub_broker.registry_options import validate_group

FORMAT: Final = 1
_BROKER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SESSION: Final = re.compile(r"[0-9a-f]{14}")


Kind = Literal["about", "brokers", "clients", "left"]
Record = About | BrokerRecord | ClientRecord | LeftRecord
_OF_KIND: Final[Mapping[Kind, type[Record]]] = {
    "about": About,
    "brokers": BrokerRecord,
    "clients": ClientRecord,
    "left": LeftRecord,
}


class Name(NamedTuple):
    """The kind of a key and its ``name``: a broker's, or a session in hexadecimal
    digits."""

    kind: Kind
    name: str = ""


ABOUT: Final = Name("about")


def client_name(session: int) -> Name:
    """The name of a registered client's key."""
    return Name("clients", f"{session:014x}")


def session_of(name: Name) -> int:
    """The session in a client's name."""
    return int(name.name, 16)


def left_name(session: int) -> Name:
    """The name of the key for a client that left."""
    return Name("left", f"{session:014x}")


class Keys:
    """The keys of one group."""

    def __init__(self, group: str) -> None:
        """Raises:
        ConfigError: the name of the group is invalid.
        """
        self.prefix = f"/pubsub/{validate_group(group)}/".encode()

    def key(self, name: Name) -> bytes:
        """The key with this name."""
        return self.prefix + "/".join(filter(None, name)).encode()

    def name(self, key: bytes) -> Name | None:
        """The name of a key with the prefix; None if the key does not belong to the
        group."""
        text = key.removeprefix(self.prefix).decode("ascii", "replace")
        kind, _, name = text.partition("/")
        match kind:
            case "about" if text == kind:
                return ABOUT
            case "brokers" if _BROKER.fullmatch(name):
                return Name("brokers", name)
            case "clients" | "left" if _SESSION.fullmatch(name):
                return Name(kind, name)
        return None


def encode(record: Record) -> bytes:
    """The value of a record."""
    return msgspec.json.encode(record)


def decode(name: Name, value: bytes) -> Record:
    """The record in the value of this key.

    Raises:
        ValueError: the value is invalid.
    """
    try:
        record = msgspec.json.decode(value, type=_OF_KIND[name.kind])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if isinstance(record, ClientRecord) and client_name(record.client.session) != name:
        raise ValueError("its session is not that of its key")
    return record
