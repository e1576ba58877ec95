"""Limits the bytes in the histories of all topics together."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pubsub_publisher.topics.history import History

# Room is made for several events at once, because finding the largest history reads all of them:
# for a share of the whole, but for no more events than can be dropped while an event waits.
_SHARE: Final = 64
_EVENTS: Final = 256


class HistoryBudget:
    """At most ``limit_bytes`` of payloads and of Python's own for each event. Above that, the
    largest history drops its oldest event, and so on.

    ``room`` is the unused part. It is counted again, from the histories, whenever it is used
    up; so an exception between an event and its count costs only one more count.
    """

    __slots__ = ("_histories", "_limit_bytes", "room")

    def __init__(self, limit_bytes: int) -> None:
        self.room = limit_bytes
        self._limit_bytes = limit_bytes
        self._histories: list[History] = []

    def join(self, history: History) -> None:
        """Count this history too."""
        self._histories.append(history)

    def make_room(self) -> None:
        """Make histories drop events above the limit."""
        room = self._limit_bytes - sum(history.size for history in self._histories)
        if room < 0:
            room = self._forget(room)
        self.room = room

    def _forget(self, room: int) -> int:
        """Drop events until there is ``room``; returns the bytes that were dropped."""
        heap = [
            (-history.size, place, history)
            for place, history in enumerate(self._histories)
            if len(history)
        ]
        heapq.heapify(heap)
        wanted, left = self._limit_bytes // _SHARE, _EVENTS
        while heap and (room < 0 or (room < wanted and left > 0)):
            _, place, history = heap[0]
            room += history.forget_oldest()
            left -= 1
            if len(history):
                heapq.heapreplace(heap, (-history.size, place, history))
            else:
                heapq.heappop(heap)
        return room
