"""Shows the messages of the control port, for those who write a client: one JSON object a line,
in the debug log.

Nothing is done for it while the logger is not asked for debugging. Who can see the log may see
what clients are called and which topics they have, but no keys. Lines are bounded like those
about clients, and long lists and texts in them are cut. So is the work: a message that cannot
be shown any more is not looked into, and a long one takes more of what may be shown.
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

# What a message may hold at any depth, and a log may not: keys, and the name by which a
# publisher knows the broker.
_SECRET: Final = frozenset({"key", "vouched", "forwarders"})
_LEFT_OUT: Final = "(left out)"
# A reply has up to 4 MiB. What remains of one of ten lists of ten topics has some 30 KiB.
_ITEMS: Final = 10
_CHARACTERS: Final = 200
# No message of ours is deeper; what is unknown in one may be.
_DEPTH: Final = 6
# So many bytes of a message count like one of its line: clients wait while it is decoded.
_BYTES_A_BYTE: Final = 128
# What is unknown in a longer message is not shown: one of 4 MiB may be a million lists.
_WHOLE_BYTES: Final = 64 * 1024
# Of what is no message, so many bytes are shown.
_BEGINNING: Final = 64


# The host and the port at the other end of a connection, where they are known.
Remote = tuple[str, int] | None


class ControlTrace:
    """For one thread."""

    def __init__(self) -> None:
        self._budget = LineBudget(what="control messages")

    @property
    def wanted(self) -> bool:
        """Whether anything is to be shown."""
        return _log.isEnabledFor(logging.DEBUG)

    def came(self, remote: Remote, data: bytes) -> None:
        """A message came."""
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
    """A request with the fields that are unknown here, if they can be read at all."""
    if len(data) > _WHOLE_BYTES:
        return msgspec.to_builtins(request)
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.to_builtins(request)


def _shown(value: Any, depth: int = _DEPTH) -> Any:
    """A value of a message, cut, and without what a log may not hold."""
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
