"""Probes whether a ZeroMQ socket at an address requires keys, without libzmq.

Theory of operation
-------------------
Each side of a ZeroMQ connection begins with a greeting of 64 bytes that names the
mechanism it uses (https://rfc.zeromq.org/spec/23/). libzmq (4.3.5) reads a greeting
that arrives at once before it has sent the rest of its own. If the mechanisms differ it
closes the connection then, and the other side never learns why. A peer that sends only
what comes before the mechanism, and waits, receives the whole greeting.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Final

from pubsub_common.protocol.endpoints import bare, host_of, port_of

# Signature and major version, after which the other side sends all of its greeting.
_HALF: Final = b"\xff" + bytes(8) + b"\x7f\x03"
_LENGTH: Final = 64
_MECHANISM: Final = slice(12, 32)
_WAIT_S: Final = 0.5


def requires_keys(greeting: bytes) -> bool | None:
    """Whether a greeting is of a socket that requires keys; None: it does not say."""
    if len(greeting) != _LENGTH or greeting[0] != 0xFF or greeting[10] < 3:
        return None
    mechanism = greeting[_MECHANISM].rstrip(b"\0")
    return {b"CURVE": True, b"NULL": False}.get(mechanism)


def probe(where: str, wait_s: float = _WAIT_S) -> bool | None:
    """Whether the listener at ``where`` (``host:port``) requires keys; None when that does
    not become clear within ``wait_s`` seconds."""
    place = bare(host_of(where)), port_of(where)
    until = time.monotonic() + wait_s
    greeting = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(place, timeout=wait_s) as connection,
    ):
        connection.sendall(_HALF)
        while len(greeting) < _LENGTH and (left_s := until - time.monotonic()) > 0:
            connection.settimeout(left_s)
            piece = connection.recv(_LENGTH - len(greeting))
            if not piece:
                break
            greeting += piece
    return requires_keys(greeting)
