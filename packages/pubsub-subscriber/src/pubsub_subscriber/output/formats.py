"""Formats events for standard output."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.errors import ConfigError
from pubsub_common.measurement.latency_histogram import format_ns

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event

Render = Callable[["Event"], bytes]

# What {NAME} stands for in a format, and what is in an object of JSON (but for the
# payload, which is a string only if it is UTF-8).
FIELDS: Final[Mapping[str, Callable[[Event], Any]]] = {
    "topic": lambda event: event.topic,
    "payload": lambda event: event.payload.decode(errors="backslashreplace"),
    "publisher": lambda event: event.publisher,
    "sequence": lambda event: event.sequence,
    "published_ns": lambda event: event.published_ns,
    "received_ns": lambda event: event.received_ns,
    "latency_us": lambda event: event.latency_ns / 1000,
    "size": lambda event: len(event.payload),
}
_ESCAPES: Final = {"\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}


def plain(end: bytes) -> Render:
    """Topic, publisher, latency and payload."""

    def render(event: Event) -> bytes:
        payload = event.payload.decode(errors="backslashreplace")
        latency = format_ns(event.latency_ns)
        return f"{event.topic} {event.publisher} {latency} {payload}".encode() + end

    return render


def raw(end: bytes) -> Render:
    """The payload, byte by byte."""
    return lambda event: event.payload + end


def json(end: bytes) -> Render:
    """An object on a line. A payload that is not UTF-8 is in base64."""
    from base64 import b64encode

    from msgspec.json import Encoder

    encode = Encoder().encode
    fields = [(name, get) for name, get in FIELDS.items() if name != "payload"]

    def render(event: Event) -> bytes:
        found = {name: get(event) for name, get in fields}
        try:
            found["payload"] = event.payload.decode()
        except UnicodeDecodeError:
            found["payload_base64"] = b64encode(event.payload).decode()
        return encode(found) + end

    return render


def template(text: str, end: bytes) -> Render:
    """``text`` with each {NAME} replaced; {NAME:SPEC} formats it as Python does, {{ and
    }} stand for braces, and \\n, \\t, \\0 and \\\\ for what they usually do.

    Raises:
        ConfigError: it names a field that there is not, or cannot be understood.
    """
    pieces: list[str] = []
    getters: list[Callable[[Event], Any]] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            pieces.append(_unescape(literal).replace("{", "{{").replace("}", "}}"))
            if name is None:
                continue
            if name not in FIELDS or conversion or "{" in (spec or ""):
                known = " ".join(f"{{{field}}}" for field in FIELDS)
                raise ConfigError(
                    f"--format: {{{name}}} is not a field of an event; there are {known}"
                )
            getters.append(FIELDS[name])
            # By number: names are looked up here, once.
            pieces.append("{:" + (spec or "") + "}")
        apply = "".join(pieces).format
        _check_format(apply, getters)
    except ValueError as error:
        raise ConfigError(f"--format: {text!r} is not a format: {error}") from None
    # Bytes of the command line that are no UTF-8 stay what they are.
    return lambda event: (
        apply(*[get(event) for get in getters]).encode(errors="surrogateescape") + end
    )


def _unescape(text: str) -> str:
    out = []
    rest = text
    while rest:
        before, slash, after = rest.partition("\\")
        out.append(before)
        pair = slash + after[:1]
        out.append(_ESCAPES.get(pair, pair))
        rest = after[1:]
    return "".join(out)


def _check_format(
    apply: Callable[..., str], getters: list[Callable[[Event], Any]]
) -> None:
    """Raises:
    ValueError: a field is to be formatted as its type cannot be.
    """
    from pubsub_common.protocol.events import Event

    event = Event("10.0.0.1:5556", 0, 0, 0, b"")
    apply(*[get(event) for get in getters])
