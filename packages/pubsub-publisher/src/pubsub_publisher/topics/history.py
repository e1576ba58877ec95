"""Stores the last events of a topic for subscribers that missed them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES
from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES, REPLY_MAX_EVENTS
from pubsub_publisher.topics.history_budget import HistoryBudget


class _Kept(NamedTuple):
    """An event, and the bytes of payload up to its end, counted from an earlier event."""

    stamp_ns: int
    payload: bytes
    bytes_so_far: int


class History:
    """Stores the last ``limit`` events of a stream, with at most ``limit_bytes`` of payload, but
    always the last event. Their numbers have no gap.

    An exception may interrupt `add` anywhere; adding the same events again completes it. So
    there is no counter beside the events.
    """

    __slots__ = ("_budget", "_events", "_limit", "_limit_bytes", "end", "first")

    def __init__(
        self, limit: int, limit_bytes: int, budget: HistoryBudget | None = None
    ) -> None:
        self.first = 0  # the number of the oldest event that is kept
        self.end = 0  # the number of the next event
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._events: dict[int, _Kept] = {}
        self._budget = budget
        if budget is not None:
            budget.join(self)

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def size(self) -> int:
        """Bytes of the stored events, with Python's own for each event."""
        oldest, newest = self._events.get(self.first), self._events.get(self.end - 1)
        if oldest is None or newest is None:
            return 0
        kept = newest.bytes_so_far - oldest.bytes_so_far + len(oldest.payload)
        return kept + EVENT_OVERHEAD_BYTES * len(self)

    def add(self, first: int, events: Iterable[tuple[int, bytes]]) -> None:
        """Store these events, time stamps and payloads; ``first`` is the first number. Stored
        events stay as they are."""
        budget = self._budget
        for number, (stamp_ns, payload) in enumerate(events, first):
            if number < self.end:
                continue
            before = self._events.get(number - 1)
            so_far = len(payload) + (0 if before is None else before.bytes_so_far)
            self._events[number] = _Kept(stamp_ns, payload, so_far)
            self.end = number + 1
            self._trim()
            if budget is not None:
                budget.room -= len(payload) + EVENT_OVERHEAD_BYTES
                if budget.room < 0:
                    budget.make_room()
        self._trim()

    def forget_oldest(self) -> int:
        """Drop the oldest event; returns its size in bytes."""
        oldest = self._events.pop(self.first, None)
        self.first += 1
        return 0 if oldest is None else len(oldest.payload) + EVENT_OVERHEAD_BYTES

    def select(self, first: int, last: int) -> tuple[int, list[int], list[bytes]]:
        """As many of the events ``first`` to ``last`` as one reply takes: the number of the
        first of them, their time stamps and payloads. Without events, the number is the
        first that can be here, now or later."""
        start = max(first, self.first)
        stamps_ns: list[int] = []
        payloads: list[bytes] = []
        size = 0
        for number in range(start, min(last + 1, self.end, start + REPLY_MAX_EVENTS)):
            stamp_ns, payload, _ = self._events[number]
            size += len(payload)
            if payloads and size > REPLY_MAX_BYTES:
                break
            stamps_ns.append(stamp_ns)
            payloads.append(payload)
        return start if payloads else max(start, self.end), stamps_ns, payloads

    def _trim(self) -> None:
        """Drop the oldest events while there are too many."""
        while len(self) > 1 and self._exceeds():
            self._events.pop(self.first, None)
            self.first += 1

    def _exceeds(self) -> bool:
        oldest = self._events.get(self.first)
        if oldest is None or len(self) > self._limit:
            return True  # it was dropped already, or there are too many
        kept = self._events[self.end - 1].bytes_so_far - oldest.bytes_so_far
        return kept + len(oldest.payload) > self._limit_bytes


def histories(
    limit: int, limit_bytes: int, total_bytes: int
) -> Callable[[], History | None]:
    """A function that makes the history of one topic, for a publisher that stores ``limit``
    events of each topic (0: none) and ``total_bytes`` of all."""
    budget = HistoryBudget(total_bytes)
    return lambda: History(limit, limit_bytes, budget) if limit else None
