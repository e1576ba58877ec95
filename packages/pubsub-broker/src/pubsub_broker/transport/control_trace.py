"""Shows the messages of the control port, for authors of clients: one JSON object per
line, in the debug log.

This costs nothing unless the logger is at debug level. The log shows the names of
clients and their topics, but no keys. Lines are limited like those about clients, and
long lists and texts are cut. The work is limited as well: beyond the limit messages are
not decoded, and a long one counts more.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import msgspec

from pubsub_broker.control.refusals import decode_request
from pubsub_common.errors import ProtocolError
from pubsub_common.logs.line_budget import LineBudget
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import group_of, join

_log = logging.getLogger(__name__)

# Fields that a log must not have, at any depth: keys, and the name by which publishers
# identify the broker.
_SECRET: Final = frozenset({"key", "vouched", "forwarders"})
_LEFT_OUT: Final = "(left out)"
# A reply has up to 4 MiB. Ten lists of ten topics have some 30 KiB.
_ITEMS: Final = 10
_CHARACTERS: Final = 200
# No message of ours is deeper; an unknown field may be.
_DEPTH: Final = 6
# This many bytes of a message count like one byte of its line: clients wait while it is
# decoded.
_BYTES_A_BYTE: Final = 128
# Unknown fields of a longer message are not shown: one of 4 MiB may contain a million
# lists.
_WHOLE_BYTES: Final = 64 * 1024
# The number of bytes shown of a malformed message.
_BEGINNING: Final = 64


# The host and the port at the other end of a connection, if known.
Remote = tuple[str, int] | None


class ControlTrace:
    """For one thread."""

    def __init__(self) -> None:
        self._budget = LineBudget(what="control messages")

    @property
    def wanted(self) -> bool:
        """Whether the debug log is on."""
        return _log.isEnabledFor(logging.DEBUG)

    def came(self, remote: Remote, data: bytes) -> None:
        """A message arrived."""
        self._show(remote, data, _what_came)

    def went(self, remote: Remote, data: bytes) -> None:
        """A message was sent."""
        self._show(remote, data, _what_went)

    def _show(
        self, remote: Remote, data: bytes, read: Callable[[bytes], dict[str, Any]]
    ) -> None:
        now = monotonic()
        left_out = self._budget.summary(now)
        if left_out is not None:
            _log.debug("%s", left_out)
        address = remote and group_of(remote[0])
        if self._budget.is_spent(address, now):
            return
        fields = {"peer": None if remote is None else join(*remote), **read(data)}
        line = json.dumps(fields)
        more = len(data) // _BYTES_A_BYTE
        if self._budget.allows(address, line, now, more=more):
            _log.debug("%s", line, extra={"fields": fields})


def _what_came(data: bytes) -> dict[str, Any]:
    try:
        request = decode_request(data)
    except ProtocolError as error:
        return _undecodable(data, str(error))
    return {"in": _shown(_as_it_came(data, request))}


def _what_went(data: bytes) -> dict[str, Any]:
    return {"out": _shown(msgspec.json.decode(data))}


def _undecodable(data: bytes, reason: str) -> dict[str, Any]:
    beginning = data[:_BEGINNING].decode("utf-8", "backslashreplace")
    return {"undecodable": beginning, "bytes": len(data), "reason": _cut(reason)}


def _as_it_came(data: bytes, request: messages.Request) -> Any:
    """A request with its unknown fields, if it can be decoded at all."""
    if len(data) > _WHOLE_BYTES:
        return msgspec.to_builtins(request)
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.to_builtins(request)


def _shown(value: Any, depth: int = _DEPTH) -> Any:
    """A value of a message, cut, and without the fields that a log must not have."""
    match value:
        case str():
            return _cut(value)
        case list() | tuple() | dict() if not depth:
            return "(more)"
        case list() | tuple():
            more = len(value) - _ITEMS
            shown = [_shown(item, depth - 1) for item in value[:_ITEMS]]
            return shown if more <= 0 else [*shown, f"(and {more} more)"]
        case dict():
            return _shown_object(value, depth - 1)
    return value


def _shown_object(fields: dict[str, Any], depth: int) -> dict[str, Any]:
    shown = {
        _cut(name): _LEFT_OUT if name in _SECRET else _shown(value, depth)
        for name, value in itertools.islice(fields.items(), 2 * _ITEMS)
    }
    more = len(fields) - 2 * _ITEMS
    return shown if more <= 0 else {**shown, "(more)": more}


def _cut(text: str) -> str:
    more = len(text) - _CHARACTERS
    return text if more <= 0 else f"{text[:_CHARACTERS]}(and {more} more)"
