"""Stores numbers of received events in memory until they are written to a file.

Theory of operation
-------------------
A table has a row for each event: its publisher and topic, and some numbers. It is one array of
machine integers, so there are no objects for the garbage collector to visit.

After each wait for an event, the code that follows runs with cold caches, and takes several
times as long. So an event is only kept at first, and many are converted in one loop. Large
events are converted at once, because their payloads take memory.

An exception of a signal handler may come at any call. So events become rows by one line
without a call, with all its values prepared: before it they are kept, after it they are rows.
A signal handler may read while its own thread converts: for it they are still kept.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any, Final

from pubsub_common.protocol.events import Event

# Kept events: enough for warm caches, and so few that they are converted in 0.1 ms, for which
# the next event waits.
_KEPT: Final = 64
_LARGE_BYTES: Final = 4096
_MAX: Final = 2**63 - 1

Row = tuple[str | int, ...]


class EventTable:
    """Rows in order of receipt. One thread adds events; any thread may read."""

    def __init__(self, numbers: Callable[[Event], tuple[int, ...]], width: int) -> None:
        """``numbers`` returns the numbers of an event, ``width`` of them."""
        self._numbers = numbers
        self._width = 1 + width
        self.last: Event | None = None  # the last event that was added
        self._kept: list[Event] = []
        # Pairs of publisher and topic; a row begins with the place of its pair.
        self._pairs: list[tuple[str, str]] = []
        self._place: dict[tuple[str, str], int] = {}
        self._cells = array("q")
        self._lock: Any = threading.RLock()

    def __len__(self) -> int:
        self._convert()
        return len(self._cells) // self._width

    def add(self, event: Event) -> None:
        """Add a row."""
        self.last, kept = event, self._kept
        kept.append(event)
        if len(kept) >= _KEPT or len(event.payload) > _LARGE_BYTES:
            self._convert()

    def rows(self, start: int = 0) -> Iterator[Row]:
        """The rows from row ``start`` on: publisher, topic, and the numbers."""
        for begin in range(start * self._width, len(self) * self._width, self._width):
            place, *numbers = self._cells[begin : begin + self._width]
            yield (*self._pairs[place], *numbers)

    def _convert(self) -> None:
        # There is no public method for this; `threading.Condition` uses the same one.
        if self._lock._is_owned():
            return  # the interrupted call continues; its rows would come twice
        with self._lock: self._convert_kept()  # noqa: E701  # fmt: skip

    def _convert_kept(self) -> None:
        events, numbers, places = self._kept[:], self._numbers, self._place
        flat: list[int] = []
        for event in events:
            pair = (event.publisher, event.topic)
            place = places.get(pair)
            flat.append(self._new_place(pair) if place is None else place)
            flat += numbers(event)
        try:
            cells = array("q", flat)
        except OverflowError:  # impossible time stamps: the rows stay rows
            cells = array("q", [max(-_MAX, min(_MAX, number)) for number in flat])
        end, count = len(self._cells), len(events)
        self._cells[end:], self._kept[:count] = cells, ()

    def _new_place(self, pair: tuple[str, str]) -> int:
        self._pairs.append(pair)
        place = self._place[pair] = len(self._pairs) - 1
        return place
