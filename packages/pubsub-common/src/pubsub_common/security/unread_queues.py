"""Finds the connections with too many waiting bytes.

Theory of operation
-------------------
libzmq bounds the queue of a connection in messages, and does not report its bytes.
(Changing the limit of a socket in use does not work: up to 4.3.5, libzmq may
permanently mistake a fast peer for one that reads nothing, and crashes with a
segmentation fault if a connection closes at that moment.) But the kernel reports the
bytes of a connection that it has not sent. While it has sent all, nothing waits in
libzmq. After that, the bytes sent through the socket less those written to the
connection are the waiting ones: exactly, for a peer that subscribes to everything;
otherwise fewer. So they only count if the memory of this process has grown too, since
nothing was waiting. The connections with the most waiting bytes are closed first, and
only enough of them to explain that growth.

Without much traffic there are no checks: the normal case costs nothing.
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

# Fewer bytes than this are only under way.
_ON_ITS_WAY_BYTES: Final = 16_384
# Checks are this far apart, and take no larger part of a processor than this. Only processor time
# counts: a thread that was suspended within a check would make senders wait for a minute.
LOOK_EVERY_S: Final = 0.05
_LARGEST_PART: Final = 0.05


class Unread(NamedTuple):
    """A connection with this many waiting bytes."""

    connection: Connection
    bytes: int


class UnreadQueues:
    """The queues of one socket. Pure: it never reads a clock."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._bounds = bounds
        self._least_memory = -1
        # The bytes sent through the socket, and written to the connection, when the
        # kernel had last sent all of it.
        self._kept_up: dict[Connection, tuple[int, int]] = {}

    def look(
        self, sent: int, memory: int, written: Iterable[tuple[Connection, Written]]
    ) -> list[Unread]:
        """``sent`` bytes have gone through the socket, ``memory`` is the memory of this
        process, and this much was ``written`` to each connection. Returns the
        connections with too many waiting bytes."""
        waiting = self._waiting(sent, written)
        if not waiting or not 0 <= self._least_memory <= memory:
            # The memory that is used while nothing waits.
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
        """The most that can be waiting for each connection, if anything does."""
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
    """Checks the connections through one port, for one thread."""

    def __init__(self, bounds: QueueBounds) -> None:
        self._queues = UnreadQueues(bounds)
        self._step = bounds.look_bytes
        self._messages = bounds.messages
        self._bytes = min(bounds.bytes_each, bounds.bytes_total)
        self._looked_at_bytes = 0
        self._look_at = 0.0

    def due_s(self, sent: int, now: float, *, again: bool = False) -> float | None:
        """Seconds until the next check, after ``sent`` bytes in total. None: not before
        more is sent; with ``again`` in any case."""
        if sent - self._looked_at_bytes < self._step and not again:
            return None
        return max(0.0, self._look_at - now)

    def look(self, port: int, sent: int, largest: int, now: float) -> list[Unread]:
        """The connections through ``port`` with too many waiting bytes. Messages have
        at most ``largest`` bytes: if few may wait, their number is the bound."""
        self._looked_at_bytes = sent
        if self._messages * largest <= self._bytes:
            self._look_at = now + LOOK_EVERY_S
            return []
        begun_s = time.thread_time()
        unread = self._queues.look(sent, memory_bytes(), written_through(port))
        took_s = time.thread_time() - begun_s
        self._look_at = now + max(LOOK_EVERY_S, took_s / _LARGEST_PART)
        return unread


def unread_line(role: str, unread: Unread) -> str:
    """The log line about a closed connection of this role, with its waiting bytes."""
    host, port = unread.connection.remote
    return (
        f"the {role} at {host}:{port} is not reading: {unread.bytes >> 20} MiB waited for it, "
        "and its connection was closed; it may connect again (--queue-bytes)"
    )


def memory_bytes() -> int:
    """The memory of this process in bytes; 0 if the system does not report it."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - 20 times a second
            resident = int(file.read().split()[1])
    except OSError:
        return 0
    return resident * os.sysconf("SC_PAGE_SIZE")
