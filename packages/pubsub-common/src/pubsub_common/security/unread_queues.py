"""Finds the connections for which more bytes wait than may.

Theory of operation
-------------------
libzmq bounds the queue of a connection in messages, and does not tell how many bytes are in it.
(To change the limit of a socket that is in use is no way: as of 4.3.5, one that keeps up may be
taken for one that reads nothing, for ever, and the process ends with a segmentation fault where a
connection is closed just then.) But the kernel tells how much of a connection it has not been able
to send. While it has sent all, nothing waits in libzmq. From then on, what was sent through the
socket less what was written to the connection is what waits for it: exactly, if it wants
everything, else it is less. So it counts only where the memory of this process has grown too,
since nothing waited last; and those for which most waits are closed first, only as many as
explain that growth.

Nobody looks while little is sent: the usual way costs nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.connections import (
    Connection,
    Written,
    written_through,
)

# Less than this is only on its way.
_ON_ITS_WAY_BYTES: Final = 16_384
# Looks are this far apart, and take no larger part of the time than this.
LOOK_EVERY_S: Final = 0.05
_LARGEST_PART: Final = 0.05


class Unread(NamedTuple):
    """A connection for which this many bytes wait."""

    connection: Connection
    bytes: int


class UnreadQueues:
    """The queues of one socket, pure. Of all that it is told, the times are not."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._bounds = bounds
        self._least_memory = -1
        # What was sent through the socket, and written to the connection, when the kernel had
        # sent all of it last.
        self._kept_up: dict[Connection, tuple[int, int]] = {}

    def look(
        self, sent: int, memory: int, written: Iterable[tuple[Connection, Written]]
    ) -> list[Unread]:
        """``sent`` bytes have gone through the socket, ``memory`` is what this process uses, and
        so much was ``written`` to each connection. Those for which too much waits."""
        waiting = self._waiting(sent, written)
        if not waiting or not 0 <= self._least_memory <= memory:
            # What is in use while nothing waits is for something else.
            self._least_memory = memory
        grown = memory - self._least_memory
        most = self._bounds.bytes_each
        if 2 * grown < min(most, self._bounds.bytes_total):
            return []
        waiting.sort(key=lambda each: each.bytes, reverse=True)
        over: list[Unread] = []
        for each in waiting:
            if each.bytes <= most or sum(other.bytes for other in over) >= grown:
                break
            over.append(each)
        if not over and grown > self._bounds.bytes_total:
            return waiting[:1]
        return over

    def _waiting(
        self, sent: int, written: Iterable[tuple[Connection, Written]]
    ) -> list[Unread]:
        """How much waits, at most, for each connection for which anything does."""
        before, self._kept_up = self._kept_up, {}
        waiting = []
        for connection, (size, unsent) in written:
            now = sent, size
            then = now if unsent <= _ON_ITS_WAY_BYTES else before.get(connection, now)
            self._kept_up[connection] = then
            if then != now:
                unread = sent - then[0] - (size - then[1])
                waiting.append(Unread(connection, unread))
        return [each for each in waiting if each.bytes > 0]


class UnreadLook:
    """Looks at the connections through one port, for one thread."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._queues = UnreadQueues(bounds)
        self._step = bounds.look_bytes
        self._messages = bounds.messages
        self._bytes = min(bounds.bytes_each, bounds.bytes_total)
        self._looked_at_bytes = 0
        self._look_at = 0.0

    def due_s(self, sent: int, now: float, *, again: bool = False) -> float | None:
        """Seconds until it is time to look, when so much was ``sent`` in all. None: not before
        more is sent, but with ``again`` whatever is."""
        if sent - self._looked_at_bytes < self._step and not again:
            return None
        return max(0.0, self._look_at - now)

    def look(self, port: int, sent: int, largest: int, now: float) -> list[Unread]:
        """The connections through ``port`` for which too much waits. Messages are of ``largest``
        bytes at most: where few may wait, their number is the bound."""
        self._looked_at_bytes = sent
        if self._messages * largest <= self._bytes:
            self._look_at = now + LOOK_EVERY_S
            return []
        begun_at = time.monotonic()
        unread = self._queues.look(sent, memory_bytes(), written_through(port))
        took_s = time.monotonic() - begun_at
        self._look_at = now + max(LOOK_EVERY_S, took_s / _LARGEST_PART)
        return unread


def unread_line(who: str, unread: Unread) -> str:
    """What to say when a connection is closed for what waits for it; ``who`` is its role."""
    host, port = unread.connection.remote
    return (
        f"the {who} at {host}:{port} is not reading: {unread.bytes >> 20} MiB waited for it, "
        "and its connection was closed; it may connect again (--queue-bytes)"
    )


def memory_bytes() -> int:
    """What this process has in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - 20 times a second
            resident = int(file.read().split()[1])
    except OSError:
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")
