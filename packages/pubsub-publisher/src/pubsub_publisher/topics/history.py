"""Keeps the last events of a topic for subscribers that missed them."""

from __future__ import annotations

from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES, REPLY_MAX_EVENTS


class History:
    """Keeps the last ``limit`` events of a stream, and of those no more than
    ``limit_bytes`` of payload, but always the last event. They are numbered without a
    gap."""

    __slots__ = ("_bytes", "_events", "_limit", "_limit_bytes", "end", "first")

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self.first = 0  # the number of the oldest event that is kept
        self.end = 0  # the number of the next event
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._events: dict[int, tuple[int, bytes]] = {}

    def __len__(self) -> int:
        return self.end - self.first

    def add(self, stamp_ns: int, payload: bytes) -> None:
        """Keep the next event."""
        self._events[self.end] = stamp_ns, payload
        self._bytes += len(payload)
        self.end += 1
        while len(self) > self._limit or (
            self._bytes > self._limit_bytes and len(self) > 1
        ):
            self._bytes -= len(self._events.pop(self.first)[1])
            self.first += 1

    def select(self, first: int, last: int) -> tuple[int, list[int], list[bytes]]:
        """As many of the events ``first`` to ``last`` as one answer takes: the number of
        the first of them, their stamps and payloads. Without any, the number is where
        the first could be that is, or will be, here."""
        start = max(first, self.first)
        stamps_ns: list[int] = []
        payloads: list[bytes] = []
        size = 0
        for number in range(start, min(last + 1, self.end, start + REPLY_MAX_EVENTS)):
            stamp_ns, payload = self._events[number]
            size += len(payload)
            if payloads and size > REPLY_MAX_BYTES:
                break
            stamps_ns.append(stamp_ns)
            payloads.append(payload)
        return start if payloads else max(start, self.end), stamps_ns, payloads
