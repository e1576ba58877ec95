"""Decides whether so many events wait that no more are received.

Events wait in the queue while the program waits for something else: for publishers to answer,
or for an event of one topic. Nothing else limits them there.
"""

from __future__ import annotations

import time
from collections.abc import Sized
from typing import Final

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES, RECEIVED_AHEAD_BYTES
from pubsub_common.protocol.batches import Batch
from pubsub_subscriber.receiving.event_queue import EventQueue, Item

# A check reads all of them: not more often than this, and no larger part of the time.
_LOOK_EVERY_S: Final = 0.02
_LARGEST_PART: Final = 0.1


class Fullness:
    """For a queue, and for the reports that wait until the program receives. For the
    receiving thread."""

    def __init__(self, queue: EventQueue, reports: Sized) -> None:
        self._queue = queue
        self._reports = reports
        self._full = False
        self._look_at = 0.0
        self._taken = 0

    def __call__(self) -> bool:
        """Whether more than the limit waited a moment ago."""
        now = time.monotonic()
        emptied = self._full and self._queue.taken != self._taken
        if now >= self._look_at or emptied:
            self._taken = self._queue.taken
            size = sum(map(_size, self._queue.waiting()))
            size += EVENT_OVERHEAD_BYTES * len(self._reports)
            self._full = size > RECEIVED_AHEAD_BYTES
            took_s = time.monotonic() - now
            self._look_at = now + max(_LOOK_EVERY_S, took_s / _LARGEST_PART)
        return self._full


def _size(item: Item) -> int:
    if isinstance(item, Batch):
        return sum(map(len, item.payloads)) + EVENT_OVERHEAD_BYTES * len(item)
    return len(item.payload) + EVENT_OVERHEAD_BYTES
