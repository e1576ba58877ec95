"""Detects connections that libzmq has given up permanently.

libzmq reconnects after almost every error, but not after a message that is longer than
``MAXMSGSIZE`` or is not ZeroMQ's. It does not report this, and the socket receives
nothing from that peer any more. So a client checks regularly whether there is a
connection, or an attempt, to each address. Without one for a while, although a program
listens there, the connection has been given up.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security import greeting_probe
from pubsub_common.security.connections import own_connections

LOOK_EVERY_S: Final = 5.0
# A look takes time for each connection of this process.
_LOOK_EVERY_S_EACH: Final = 0.1
_LOOK_EVERY_S_MOST: Final = 15.0
_LOOK_AGAIN_S: Final = 1.0
# Between two attempts of libzmq nothing is visible.
_CERTAIN_AFTER: Final = 3
# How long a listener may take to accept.
_PROBE_S: Final = 0.1


class ConnectedAddresses:
    """The ``IP:port`` that this process is connected to. Looked up at most once in
    ``fresh_s`` seconds, for all callers."""

    def __init__(self, fresh_s: float = 1.0) -> None:
        self._fresh_s = fresh_s
        # The time and the result of the last lookup: one value, as any thread may read
        # it.
        self._found: tuple[float, frozenset[str]] | None = None

    def __call__(self) -> frozenset[str]:
        found, now = self._found, time.monotonic()
        if found is None or now - found[0] >= self._fresh_s:
            remotes = (each.remote for each in own_connections())
            found = now, frozenset(f"{host}:{port}" for host, port in remotes)
            self._found = found
        return found[1]


# Of this process.
CONNECTED: Final = ConnectedAddresses()


class LostConnections:
    """For one thread."""

    def __init__(self, connected: ConnectedAddresses = CONNECTED) -> None:
        self._connected = connected
        self._missing: dict[str, int] = {}
        self._look_at: float | None = None

    def look(self, addresses: Collection[str], now: float) -> list[str]:
        """The addresses among these ``IP:port`` to which libzmq no longer connects. For
        the next check they are like new."""
        if not addresses or self.due_s(now) > 0:
            return []
        missing = set(addresses) - self._connected()
        self._missing = {
            address: self._missing.get(address, 0) + 1 for address in missing
        }
        wait_s = min(_LOOK_EVERY_S_EACH * len(addresses), _LOOK_EVERY_S_MOST)
        self._look_at = now + (_LOOK_AGAIN_S if missing else max(LOOK_EVERY_S, wait_s))
        for address, looks in self._missing.items():
            if looks >= _CERTAIN_AFTER:
                # One at a time: the check takes time, and peers choose the addresses.
                del self._missing[address]
                if greeting_probe.probe(address, _PROBE_S) is not None:
                    return [address]
                break
        return []

    def due_s(self, now: float) -> float:
        """Seconds until the next check. Never immediately: a new connection takes a
        moment."""
        if self._look_at is None:
            self._look_at = now + LOOK_EVERY_S
        return max(0.0, self._look_at - now)


def lost_line(what: str, bounds: QueueBounds) -> str:
    """The log line about a connection to ``what`` that was given up, and is made again."""
    return (
        f"the connection to {what} was closed and is made again: a message was "
        f"longer than {bounds.payload_bytes} bytes of payload (--max-payload), or none of ours"
    )
