"""Formats events for standard output.

On a terminal, what publishers wrote is shown (`pubsub_common.printable`), and not done: an escape
sequence in a payload would clear the screen. Programs get it as it is.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.errors import ConfigError
from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.printable import printable, printable_json

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


def json(end: bytes, *, on_terminal: bool = False) -> Render:
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
        line = encode(found)
        return (printable_json(line.decode()).encode() if on_terminal else line) + end

    return render


def template(text: str, end: bytes, *, on_terminal: bool = False) -> Render:
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
            get = FIELDS[name]
            getters.append(_shown(get) if on_terminal else get)
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


def _shown(get: Callable[[Event], Any]) -> Callable[[Event], Any]:
    def show(event: Event) -> Any:
        value = get(event)
        return printable(value) if isinstance(value, str) else value

    return show


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
