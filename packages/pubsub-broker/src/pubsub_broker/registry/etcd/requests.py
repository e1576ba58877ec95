"""The requests to etcd, in the format of its HTTP/JSON gateway.

Keys and values are base64 there, which `msgspec` makes of bytes. Names and spelling of
the fields are etcd's.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class Compare(msgspec.Struct, frozen=True, kw_only=True):
    """A condition of a transaction; see `mod_revision_is` and `version_is`."""

    key: bytes
    target: Literal["MOD", "VERSION"]
    result: Literal["EQUAL"] = "EQUAL"
    mod_revision: int | UnsetType = UNSET
    version: int | UnsetType = UNSET


def mod_revision_is(key: bytes, revision: int) -> Compare:
    """The key was last written at this revision; 0: it does not exist."""
    return Compare(key=key, target="MOD", mod_revision=revision)


def version_is(key: bytes, version: int) -> Compare:
    """The key was written this many times since its creation; 0: it does not exist."""
    return Compare(key=key, target="VERSION", version=version)


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """Read a key, or the keys up to ``range_end``. The member that gets a
    ``serializable`` request answers it alone, so the answer may be outdated."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    serializable: bool = False


class Put(msgspec.Struct, frozen=True, omit_defaults=True):
    """Write a key; it ends with ``lease``, if that is not 0."""

    key: bytes
    value: bytes
    lease: int = 0


class Delete(msgspec.Struct, frozen=True, omit_defaults=True):
    """Delete a key, or the keys up to ``range_end``."""

    key: bytes
    range_end: bytes = b""


class Transaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """Execute ``success`` if each of ``compare`` is true, otherwise ``failure``."""

    compare: list[Compare] = []
    success: list[Operation] = []
    failure: list[Operation] = []


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation of a transaction; exactly one field is set."""

    request_range: Range | None = None
    request_put: Put | None = None
    request_delete_range: Delete | None = None
    request_txn: Transaction | None = None


def operation(request: Range | Put | Delete | Transaction) -> Operation:
    """A request as an operation of a transaction."""
    match request:
        case Range():
            return Operation(request_range=request)
        case Put():
            return Operation(request_put=request)
        case Delete():
            return Operation(request_delete_range=request)
        case Transaction():
            return Operation(request_txn=request)


class Grant(msgspec.Struct, frozen=True):
    """Grant a lease of this many seconds."""

    TTL: int


class LeaseRequest(msgspec.Struct, frozen=True):
    """Keep a lease alive, or revoke it."""

    ID: int


class Authenticate(msgspec.Struct, frozen=True):
    """Request a token."""

    name: str
    password: str


class WatchCreate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Report each change of these keys from ``start_revision`` on."""

    key: bytes
    range_end: bytes
    start_revision: int


class Watch(msgspec.Struct, frozen=True):
    """Start a watch."""

    create_request: WatchCreate


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys with this prefix. Its last byte is not 255."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


encode = msgspec.json.Encoder().encode
