"""Finds out what listens at an address, without libzmq: whether it is a ZeroMQ socket,
and whether that requires keys.

Theory of operation
-------------------
Each side of a ZeroMQ connection begins with a greeting of 64 bytes that names its
mechanism (https://rfc.zeromq.org/spec/23/). If a complete greeting arrives immediately,
libzmq (4.3.5) reads it before it has sent the rest of its own. If the mechanisms differ
it then closes the connection, and the other side never learns why. A peer that sends
only the part before the mechanism, and waits, receives the whole greeting.
"""

from __future__ import annotations

import enum
import math
import socket
import time
from typing import Final

from pubsub_common.protocol.endpoints import bare, host_of, port_of

# Signature and major version; after these the other side sends all of its greeting.
_HALF: Final = b"\xff" + bytes(8) + b"\x7f\x03"
_LENGTH: Final = 64
_MECHANISM: Final = slice(12, 32)
_WAIT_S: Final = 0.5


class Listener(enum.Enum):
    """What listens at an address."""

    REFUSED = enum.auto()  # nothing does
    UNREACHABLE = enum.auto()  # the connection was neither accepted nor refused
    SILENT = enum.auto()  # accepts connections, and sends nothing
    OTHER = enum.auto()  # sends something other than a greeting
    WITHOUT_KEYS = enum.auto()
    WITH_KEYS = enum.auto()


_NO_BROKER: Final = {
    Listener.REFUSED: (
        "the connection is refused; is it running, and is this its address and port?"
    ),
    Listener.UNREACHABLE: (
        "nothing answers to a connection; is this its address, and does a firewall let "
        "the connection through?"
    ),
    Listener.SILENT: (
        "the program there accepts connections and sends nothing; it is not a broker, or "
        "a broker that takes no more connections"
    ),
    Listener.OTHER: "the program there does not speak ZeroMQ; it is not a broker",
}
_SPEAKS: Final = (
    "the program there speaks ZeroMQ, but does not answer; it is not a broker (perhaps a "
    "publisher), or a broker that is busy"
)
# A broker may need this time for its answer.
_ENOUGH_S: Final = 1.0


def explain(listener: Listener, waited_s: float = math.inf) -> str:
    """The reason why no broker answered at an address within so many seconds, for the
    user."""
    if listener in _NO_BROKER:
        return _NO_BROKER[listener]
    if waited_s < _ENOUGH_S:
        return (
            f"the program there speaks ZeroMQ, but had only {waited_s:g} s to answer; "
            "allow a broker a second or more"
        )
    return _SPEAKS


def requires_keys(greeting: bytes) -> bool | None:
    """Whether the socket behind a greeting requires keys; None if unknown."""
    if len(greeting) != _LENGTH or greeting[0] != 0xFF or greeting[10] < 3:
        return None
    mechanism = greeting[_MECHANISM].rstrip(b"\0")
    return {b"CURVE": True, b"NULL": False}.get(mechanism)


def probe(where: str, wait_s: float = _WAIT_S) -> bool | None:
    """Whether the listener at ``where`` (``host:port``) requires keys; None if this is
    still unknown after ``wait_s`` seconds."""
    found = look(where, wait_s)
    return {Listener.WITH_KEYS: True, Listener.WITHOUT_KEYS: False}.get(found)


def look(where: str, wait_s: float = _WAIT_S) -> Listener:
    """The kind of listener at ``where`` (``host:port``), as observed in ``wait_s``
    seconds."""
    place = bare(host_of(where)), port_of(where)
    until = time.monotonic() + wait_s
    try:
        connection = socket.create_connection(place, timeout=wait_s)
    except ConnectionRefusedError:
        return Listener.REFUSED
    except OSError:
        return Listener.UNREACHABLE
    with connection:
        greeting = _greeting(connection, until)
    if not greeting:
        return Listener.SILENT
    if greeting[0] != _HALF[0]:
        return Listener.OTHER
    keys = requires_keys(greeting)
    if keys is None:
        # A greeting that is incomplete belongs to a socket that is busy.
        return Listener.SILENT if len(greeting) < _LENGTH else Listener.OTHER
    return Listener.WITH_KEYS if keys else Listener.WITHOUT_KEYS


def _greeting(connection: socket.socket, until: float) -> bytes:
    """The bytes that arrive, at most those of a greeting."""
    greeting = b""
    try:
        connection.sendall(_HALF)
        while len(greeting) < _LENGTH and (left_s := until - time.monotonic()) > 0:
            connection.settimeout(left_s)
            piece = connection.recv(_LENGTH - len(greeting))
            if not piece:
                break
            greeting += piece
    except OSError:  # closed, or the time is over: use the bytes that have arrived
        pass
    return greeting
