"""A process that floods a broker's control port: ``python -m
pubsub_perf.bench.flood_client KIND PORT SECONDS``.

It speaks ZeroMQ's protocol on plain sockets, because libzmq would be slower, from 127.0.0.2. It
prints an empty line when its messages are prepared and its time begins, and its counts at the
end. ``busy`` sends nothing.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register
from pubsub_common.protocol.versions import VERSIONS

ADDRESS: Final = "127.0.0.2"
KINDS: Final = ("busy", "registrations", "malformed", "connects", "frames")
_GREETING: Final = (
    b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
)
_FRAME: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 200
_RESET: Final = struct.pack("ii", 1, 0)
_WAIT_S: Final = 1.0


class FloodCounts(msgspec.Struct, kw_only=True, frozen=True):
    """The counts: messages written (or turns of ``busy``), connections made, and connections
    that the broker closed."""

    messages: int = 0
    connections: int = 0
    closed: int = 0
    cpu_s: float = 0.0


def frame(body: bytes, command: bool = False) -> bytes:
    """A frame of ZMTP 3."""
    flags = 4 if command else 0
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | 2,)) + len(body).to_bytes(8, "big") + body


def handshake() -> bytes:
    """What a DEALER says first. The broker's half need not be waited for."""
    kind = b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
    return _GREETING + frame(b"\x05READY" + kind, command=True)


def registrations(begin: int) -> bytes:
    """Many at once, each of another subscriber."""
    return b"".join(
        frame(
            messages.encode(
                Register(
                    id=number,
                    versions=VERSIONS,
                    role="subscriber",
                    topics=["flood"],
                    address=f"10.1.{number >> 8 & 255}.{number & 255}",
                    clock="monotonic",
                )
            )
        )
        for number in range(begin, begin + _AT_ONCE)
    )


class FloodClient:
    """Counts what it does until its time is over."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._seconds = seconds
        self._end = math.inf
        self.messages = self.connections = self.closed = 0

    def flood(self, kind: str) -> None:
        if kind == "busy":
            while self._on():
                self.messages += sum(range(1000)) > 0
        elif kind == "connects":
            while self._on():
                with contextlib.suppress(OSError), self._connected() as it:
                    # Without TIME_WAIT, which would use up all ports.
                    it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    it.sendall(_GREETING)
        elif kind == "registrations":
            parts = [registrations(n * _AT_ONCE) for n in range(256)]
            self._blast(lambda n: parts[n % len(parts)], _AT_ONCE)
        else:
            nonsense = frame(b"nonsense") * _AT_ONCE
            body = b'{"type":"status","id":7,"x":"'.ljust(_FRAME - 2, b"x") + b'"}'
            part, count = (
                (nonsense, _AT_ONCE) if kind == "malformed" else (frame(body), 1)
            )
            self._blast(lambda _n: part, count)

    def _blast(self, part: Callable[[int], bytes], count: int) -> None:
        """Write as fast as the broker reads; come back when it closes."""
        number = 0
        while self._on():
            try:
                with self._connected() as it:
                    it.sendall(handshake())
                    while self._on():
                        it.sendall(part(number))
                        number += 1
                        self.messages += count
                        while select.select([it], [], [], 0)[0]:
                            if not it.recv(1 << 20):
                                raise ConnectionResetError
            except TimeoutError:
                continue  # it does not read: no reason to stay
            except OSError:
                self.closed += 1

    def _connected(self) -> socket.socket:
        it = socket.create_connection(
            ("127.0.0.1", self._port), _WAIT_S, source_address=(ADDRESS, 0)
        )
        self.connections += 1
        return it

    def _on(self) -> bool:
        now = time.monotonic()
        if self._end == math.inf:
            self._end = now + self._seconds
            sys.stdout.write("\n")
            sys.stdout.flush()
        return now < self._end


def main() -> None:
    kind, port, seconds = sys.argv[1:]
    flood_client = FloodClient(int(port), float(seconds))
    flood_client.flood(kind)
    done = FloodCounts(
        messages=flood_client.messages,
        connections=flood_client.connections,
        closed=flood_client.closed,
        cpu_s=time.process_time(),
    )
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")


if __name__ == "__main__":
    main()
