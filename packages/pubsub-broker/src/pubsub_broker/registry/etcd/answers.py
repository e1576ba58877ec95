"""The answers of etcd, in the format of its HTTP/JSON gateway.

There, integers are strings, and empty, zero or false values are omitted.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, TypeVar

import msgspec

from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdError,
    EtcdRefused,
    EtcdUnreachable,
    LeaseGone,
    TokenRejected,
)
from pubsub_common.text.printable import cut, printable

_T = TypeVar("_T")


class Header(msgspec.Struct, frozen=True):
    """``revision`` is that of the member that answered. ``cluster_id`` changes when a
    backup is restored, unless the operator prevents it."""

    cluster_id: str = ""
    revision: int = 0


class KeyValue(msgspec.Struct, frozen=True):
    """A key as it was at ``mod_revision``; a deleted one has no value."""

    key: bytes
    value: bytes = b""
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


class RangeAnswer(msgspec.Struct, frozen=True):
    """Keys in order; ``more``: further keys follow."""

    header: Header = Header()
    kvs: list[KeyValue] = []
    more: bool = False


class Listing(msgspec.Struct, frozen=True):
    """All keys of a prefix, as they were at ``revision``."""

    cluster_id: str
    revision: int
    kvs: list[KeyValue]


class WriteAnswer(msgspec.Struct, frozen=True):
    """The answer to a put, a delete, or a revoke."""

    header: Header = Header()
    deleted: int = 0


class TransactionAnswer(msgspec.Struct, frozen=True):
    """The executed operations; a nested answer has an empty header."""

    header: Header = Header()
    succeeded: bool = False
    responses: list[OperationAnswer] = []


class OperationAnswer(msgspec.Struct, frozen=True):
    """The answer to one operation of a transaction; one field is set."""

    response_range: RangeAnswer | None = None
    response_put: WriteAnswer | None = None
    response_delete_range: WriteAnswer | None = None
    response_txn: TransactionAnswer | None = None


class LeaseAnswer(msgspec.Struct, frozen=True):
    """The remaining seconds of a lease; 0: it is gone."""

    ID: int
    TTL: int = 0
    header: Header = Header()


class TokenAnswer(msgspec.Struct, frozen=True):
    """A token."""

    token: str


class Event(msgspec.Struct, frozen=True):
    """One change of a key."""

    kv: KeyValue
    type: Literal["PUT", "DELETE"] = "PUT"


class WatchAnswer(msgspec.Struct, frozen=True):
    """Events in the engine's order, all of each revision; or the start or end of a
    watch."""

    header: Header = Header()
    events: list[Event] = []
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""


class Streamed(msgspec.Struct, frozen=True):
    """One line of a stream."""

    result: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


def decode(data: bytes, answer: type[_T]) -> _T:
    """Raises:
    EtcdRefused: the answer has another format.
    """
    try:
        return msgspec.json.decode(data, type=answer, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EtcdRefused(f"not an answer of etcd: {error}") from error


def decode_streamed(line: bytes, answer: type[_T]) -> _T:
    """Decode one line of a stream.

    Raises:
        EtcdError: it is a failure, or has another format.
    """
    streamed = decode(line, Streamed)
    if not streamed.result:
        raise failure_in(500, json.dumps(streamed.error or {}).encode())
    return decode(bytes(streamed.result), answer)


# Codes of gRPC.
_DEADLINE: Final = 4
_UNAVAILABLE: Final = 14
_UNAUTHENTICATED: Final = 16
_SERVER_FAILED: Final = 500

# The errors behind etcd's texts, with a clearer text.
_TOLD: Final[tuple[tuple[str, type[EtcdError], str], ...]] = (
    ("has been compacted", Compacted, ""),
    ("lease not found", LeaseGone, ""),
    ("invalid auth token", TokenRejected, ""),
    ("revision of auth store is old", TokenRejected, ""),
    ("too many requests", EtcdUnreachable, ""),
    ("larger than max", EtcdRefused, "the request is too large for etcd"),
    ("user name is empty", EtcdRefused, "etcd requires a user and a password"),
    ("HTTPS server", EtcdRefused, "etcd requires TLS there"),
    (
        "database space exceeded",
        EtcdRefused,
        "etcd's database is full: compact and defragment it, then disarm its alarm",
    ),
    (
        "CommonName",
        EtcdRefused,
        "etcd's gateway takes no client certificate with a CommonName where etcd has "
        "users: make one with an empty subject",
    ),
)


def failure_in(status: int, body: bytes) -> EtcdError:
    """The error behind an answer with this HTTP status."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        told = {}
    message = str(
        told.get("message") or told.get("error") or body.decode(errors="replace")
    )
    message = cut(printable(message.strip()))
    code = told.get("code", told.get("grpc_code"))
    for text, error, instead in _TOLD:
        if text in message:
            return error(instead or message)
    if code == _UNAUTHENTICATED:
        return TokenRejected(message)
    if code in (_DEADLINE, _UNAVAILABLE) or status >= _SERVER_FAILED:
        return EtcdUnreachable(message, maybe_done=True)
    if not told:
        return EtcdRefused(f"this is not etcd 3.4 or later: HTTP {status}: {message}")
    return EtcdRefused(f"etcd rejects the request: {message}")
