"""Formats events for standard output.

On a terminal, control characters of publishers are shown as text (`pubsub_common.text.printable`):
an escape sequence in a payload could clear the screen. Programs get the original bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.text.iso_time import iso_time
from pubsub_common.text.printable import printable, printable_json
from pubsub_common.text.template import compiled

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event

Render = Callable[["Event"], bytes]

# The members of an object of JSON, without the payload: that is text only if it is UTF-8.
MEMBERS: Final[Mapping[str, Callable[[Event], Any]]] = {
    "topic": lambda event: event.topic,
    "publisher": lambda event: event.publisher,
    "sequence": lambda event: event.sequence,
    "published_ns": lambda event: event.published_ns,
    "received_ns": lambda event: event.received_ns,
    "latency_us": lambda event: event.latency_ns / 1000,
    "size": lambda event: len(event.payload),
}


def payload_json(payload: bytes) -> str:
    """A JSON payload on one line; any other payload as a JSON string."""
    return (
        _compact(payload)
        or msgspec.json.encode(payload.decode(errors="backslashreplace")).decode()
    )


# What {NAME} stands for in a format.
FIELDS: Final[Mapping[str, Callable[[Event], Any]]] = {
    **MEMBERS,
    "time": lambda event: iso_time(event.published_ns),
    "payload": lambda event: event.payload.decode(errors="backslashreplace"),
    "payload_hex": lambda event: event.payload.hex(),
    "payload_base64": lambda event: b64encode(event.payload).decode(),
    "payload_json": lambda event: payload_json(event.payload),
}


def plain(end: bytes, *, on_terminal: bool = False) -> Render:
    """Topic, publisher, latency and payload."""

    def render(event: Event) -> bytes:
        payload = event.payload.decode(errors="backslashreplace")
        latency = format_ns(event.latency_ns)
        line = f"{event.topic} {event.publisher} {latency} {payload}"
        return (printable(line) if on_terminal else line).encode() + end

    return render


def raw(end: bytes) -> Render:
    """The payload, byte by byte, on a terminal too."""
    return lambda event: event.payload + end


def json(end: bytes, *, nest: bool = False, on_terminal: bool = False) -> Render:
    """An object on a line. A payload that is not UTF-8 is in base64. With ``nest`` a JSON
    payload becomes a JSON value instead of a string."""
    encode = msgspec.json.Encoder().encode

    def render(event: Event) -> bytes:
        found = {name: get(event) for name, get in MEMBERS.items()}
        compact = _compact(event.payload) if nest else None
        try:
            found["payload"] = (
                event.payload.decode() if compact is None else _raw(compact)
            )
        except UnicodeDecodeError:
            found["payload_base64"] = b64encode(event.payload).decode()
        line = encode(found)
        return (printable_json(line.decode()).encode() if on_terminal else line) + end

    return render


def template(text: str, end: bytes, *, on_terminal: bool = False) -> Render:
    """``text`` with each {NAME} replaced (`pubsub_common.text.template`).

    Raises:
        ConfigError: A field has an unknown name, or the text is not a template.
    """
    from pubsub_common.protocol.events import Event

    fields = (
        {name: _shown(name, get) for name, get in FIELDS.items()}
        if on_terminal
        else FIELDS
    )
    example = Event("10.0.0.1:5556", 0, 0, 0, b"")
    fill = compiled(text, fields, "--format", of="an event", example=example)
    # Bytes of the command line that are not UTF-8 are not changed.
    return lambda event: fill(event).encode(errors="surrogateescape") + end


def _shown(name: str, get: Callable[[Event], Any]) -> Callable[[Event], Any]:
    show_text = printable_json if name == "payload_json" else printable

    def show(event: Event) -> Any:
        value = get(event)
        return show_text(value) if isinstance(value, str) else value

    return show


def _compact(payload: bytes) -> str | None:
    """JSON without spaces and line ends, with its numbers unchanged; None: it is not JSON."""
    try:
        return msgspec.json.format(payload, indent=-1).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())
