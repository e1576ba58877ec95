"""Describes a control message that could not be decoded, and makes the error replies."""

from __future__ import annotations

import typing
from typing import Final, TypeVar

import msgspec

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.messages import (
    MALFORMED,
    NO_ID,
    WRONG_VERSION,
    Error,
    Reply,
    ReplyId,
)
from pubsub_common.protocol.versions import VERSIONS, Versions, chosen_version, spoken
from pubsub_common.text.printable import cut, printable

_T = TypeVar("_T")

_REPLY_TYPES: Final = frozenset(
    str(kind.__struct_config__.tag) for kind in typing.get_args(Reply)
)


class _Numbered(msgspec.Struct):
    id: ReplyId = NO_ID


class _Typed(msgspec.Struct):
    type: str


class _Registering(msgspec.Struct, tag_field="type", tag="register"):
    versions: Versions = VERSIONS


_numbered: Final = msgspec.json.Decoder(_Numbered)
_typed: Final = msgspec.json.Decoder(_Typed)
_registering: Final = msgspec.json.Decoder(_Registering)


def explain_undecodable(data: bytes, reason: ProtocolError) -> Error:
    """The error reply to a request that could not be decoded. It carries the request's id,
    and tells a client of other versions of the protocol from nonsense, if the bytes allow
    it."""
    numbered = _read(_numbered, data)
    request_id = NO_ID if numbered is None else numbered.id
    registering = _read(_registering, data)
    if registering is not None and chosen_version(registering.versions) is None:
        return wrong_version(request_id, registering.versions)
    return Error(
        id=request_id,
        code=MALFORMED,
        detail=f"not a message of this protocol: {reason}",
    )


def wrong_version(request_id: int, versions: Versions) -> Error:
    """The error reply to a client that speaks only versions that this broker does not."""
    return Error(
        id=request_id,
        code=WRONG_VERSION,
        detail=f"the client speaks version {spoken(versions)} of the protocol, "
        f"this broker speaks {spoken(VERSIONS)}",
    )


def unknown_reply(data: bytes) -> str | None:
    """The type, to be shown, of a broker's message that is of a type unknown here; None for
    one that is of a known type, or has none."""
    typed = _read(_typed, data)
    if typed is None or typed.type in _REPLY_TYPES:
        return None
    return printable(cut(typed.type))


def _read(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T | None:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
