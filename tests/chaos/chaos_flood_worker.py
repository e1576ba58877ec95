"""Worker: connects and disconnects, or sends random bytes, to ports of a host.

python chaos_flood_worker.py '{"what": "connects" | "bytes", "host": ..., "ports":
[...], ...}'

It exits with 0, whatever the other side does.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import time
from collections import deque
from typing import Any, Final

import zmq

# How long a ZeroMQ socket stays connected: enough for a handshake.
_HELD_S: Final = 0.1
_RAW_TIMEOUT_S: Final = 1.0
# ZMTP 3.0: signature, version, mechanism NULL, as-server 0, filler.
GREETING: Final = (
    b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
)
_KINDS: Final = (zmq.DEALER, zmq.SUB, zmq.XSUB, zmq.REQ, zmq.PUB)


def connects(host: str, ports: list[int], rate: int, seconds: float) -> None:
    """Half of the connections are bare TCP, half ZeroMQ sockets of all kinds."""
    held: deque[tuple[float, zmq.Socket[bytes]]] = deque()
    began = time.monotonic()
    with zmq.Context() as context:
        for number in range(round(rate * seconds)):
            port = ports[number // 2 % len(ports)]
            if number % 2:
                tcp(host, port, b"")
            else:
                held.append((time.monotonic(), zeromq(context, host, port, number)))
            while held and time.monotonic() - held[0][0] > _HELD_S:
                held.popleft()[1].close(linger=0)
            pause_s = began + number / rate - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
        for _, sock in held:
            sock.close(linger=0)
    took_s = time.monotonic() - began
    print(f"{number + 1} connections in {took_s:.1f} s", file=sys.stderr)


def zeromq(
    context: zmq.Context[zmq.Socket[bytes]], host: str, port: int, number: int
) -> zmq.Socket[bytes]:
    """A socket that connects."""
    sock = context.socket(_KINDS[number // 2 // len(_KINDS) % len(_KINDS)])
    if sock.socket_type == zmq.SUB:
        sock.subscribe(b"")
    sock.connect(f"tcp://{host}:{port}")
    return sock


def tcp(host: str, port: int, data: bytes) -> None:
    """Connect, send, and close."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), _RAW_TIMEOUT_S) as sock,
    ):
        sock.sendall(data)


def random_bytes(host: str, ports: list[int], rounds: int, seed: int) -> None:
    """Random bytes of every kind to every port, ``rounds`` times."""
    rng = random.Random(seed)
    with zmq.Context() as context:
        for _ in range(rounds):
            for port in ports:
                tcp(host, port, rng.randbytes(rng.randrange(1, 2000)))
                tcp(host, port, GREETING + rng.randbytes(rng.randrange(1, 2000)))
                tcp(host, port, GREETING + ready(rng) + huge(rng))
                tcp(host, port, GREETING + ready(rng) + rng.randbytes(500))
                for kind in (zmq.DEALER, zmq.SUB, zmq.XSUB, zmq.PUB):
                    speak(context, kind, f"tcp://{host}:{port}", rng)


def ready(rng: random.Random) -> bytes:
    """The command that ends a ZMTP handshake, of a random socket type."""
    kind = rng.choice([b"DEALER", b"SUB", b"XSUB", b"XPUB", b"PAIR", b"nonsense"])
    body = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return bytes([4, len(body)]) + body


def huge(rng: random.Random) -> bytes:
    """A frame with a huge length in its header, and a short body."""
    size = rng.choice([2**62, 2**31, 2**63 + 1])
    return b"\x02" + size.to_bytes(8, "big") + rng.randbytes(100)


def speak(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    endpoint: str,
    rng: random.Random,
) -> None:
    """Connect like ZeroMQ, and send unexpected frames."""
    sock = context.socket(kind)
    sock.sndtimeo = 200
    sock.connect(endpoint)
    with contextlib.suppress(zmq.ZMQError):
        for _ in range(20):
            if kind == zmq.SUB:
                sock.subscribe(rng.choice([b"", b"\xff", b"\x01"]) + rng.randbytes(20))
                continue
            frames = [
                rng.choice([b"", b"\x00", b"\x01", b"\x01\xff", b"{", b"A\x00"])
                + rng.randbytes(rng.randrange(100))
                for _ in range(rng.choice([1, 1, 1, 3]))
            ]
            sock.send_multipart(frames)
    sock.close(linger=200)


def main(options: dict[str, Any]) -> int:
    host, ports = options["host"], options["ports"]
    if options["what"] == "connects":
        connects(host, ports, options["rate"], options["seconds"])
    else:
        random_bytes(host, ports, options["rounds"], options["seed"])
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
