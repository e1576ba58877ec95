"""Finds connections that libzmq has given up for good.

It connects again after almost everything; but not when a message is longer than the socket takes
(``MAXMSGSIZE``), or is none of ZeroMQ's. It says nothing then, and the socket receives nothing from
there any more. So who connects looks now and then whether there is a connection to each address,
or an attempt at one. Where there is none for a while, though somebody listens there, it has been
given up.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security import greeting_probe
from pubsub_common.security.connections import own_connections

LOOK_EVERY_S: Final = 5.0
_LOOK_AGAIN_S: Final = 1.0
# Between two attempts of libzmq's there is nothing to be seen.
_CERTAIN_AFTER: Final = 3
# How long somebody who listens may take to say so.
_PROBE_S: Final = 0.1


class ConnectedAddresses:
    """To which ``IP:port`` this process is connected. Looked up at most once in ``fresh_s``
    seconds, for all that ask."""

    def __init__(self, fresh_s: float = 1.0) -> None:
        self._fresh_s = fresh_s
        # When they were looked up, and what was found: one value, as any thread may ask.
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
        """Those of these ``IP:port`` to which there should be a connection, and libzmq makes none
        any more. For the next look they are as new."""
        if not addresses or self.due_s(now) > 0:
            return []
        missing = set(addresses) - self._connected()
        self._missing = {
            address: self._missing.get(address, 0) + 1 for address in missing
        }
        self._look_at = now + (_LOOK_AGAIN_S if missing else LOOK_EVERY_S)
        for address, looks in self._missing.items():
            if looks >= _CERTAIN_AFTER:
                # One at a time: to ask takes time, and others choose the addresses.
                del self._missing[address]
                if greeting_probe.probe(address, _PROBE_S) is not None:
                    return [address]
                break
        return []

    def due_s(self, now: float) -> float:
        """Seconds until the next look. Not at once: those who have just begun to connect are
        connected a moment later."""
        if self._look_at is None:
            self._look_at = now + LOOK_EVERY_S
        return max(0.0, self._look_at - now)


def lost_line(what: str, bounds: QueueBounds) -> str:
    """What to say when a connection to ``what`` was given up, and is made again."""
    return (
        f"the connection to {what} was closed and is made again: a message was "
        f"longer than {bounds.payload_bytes} bytes of payload (--max-payload), or none of ours"
    )
