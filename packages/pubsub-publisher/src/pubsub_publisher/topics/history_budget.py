"""Bounds what the histories of all topics keep together."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pubsub_publisher.topics.history import History

# Room is made for several events, as all histories are looked at to find the largest: for a
# share of the whole, but of no more events than an event can wait for.
_SHARE: Final = 64
_EVENTS: Final = 256


class HistoryBudget:
    """At most ``limit_bytes``, of payloads and of what Python needs for each event. When that
    is too little, the largest history forgets its oldest event, and so on.

    ``room`` is what is left. It is counted anew, from what there is, whenever it is used up;
    so an exception that comes between an event and its count costs a look, and no more.
    """

    __slots__ = ("_histories", "_limit_bytes", "room")

    def __init__(self, limit_bytes: int) -> None:
        self.room = limit_bytes
        self._limit_bytes = limit_bytes
        self._histories: list[History] = []

    def join(self, history: History) -> None:
        """This history counts too."""
        self._histories.append(history)

    def make_room(self) -> None:
        """Have histories forget what is too much."""
        room = self._limit_bytes - sum(history.size for history in self._histories)
        if room < 0:
            room = self._forget(room)
        self.room = room

    def _forget(self, room: int) -> int:
        """Forget events until there is room again; how much."""
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
