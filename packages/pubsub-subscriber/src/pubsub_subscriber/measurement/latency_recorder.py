"""Stores latencies in memory until they are written to a file.

Columns of machine integers instead of a list of objects: 16 bytes an event, and no objects
for the garbage collector to visit while events arrive.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from pubsub_common.protocol.events import Event

_MAX_NS: Final = 2**63 - 1


class LatencyRecorder:
    """Rows of (publisher, topic, latency in ns) in order of receipt."""

    __slots__ = ("_index", "_latency_ns", "_names", "_pair")

    def __init__(self) -> None:
        self._names: list[tuple[str, str]] = []
        self._index: dict[tuple[str, str], int] = {}
        self._pair = array("L")
        self._latency_ns = array("q")

    def __len__(self) -> int:
        return len(self._pair)

    def add(self, event: Event) -> None:
        """Record one event."""
        key = (event.publisher, event.topic)
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = len(self._names)
            self._names.append(key)
        latency_ns = event.received_ns - event.published_ns
        try:
            self._latency_ns.append(latency_ns)
        except OverflowError:  # an impossible time stamp: the row stays a row
            self._latency_ns.append(_MAX_NS if latency_ns > 0 else -_MAX_NS)
        self._pair.append(index)

    def rows(self) -> Iterator[tuple[str, str, int]]:
        """The rows, oldest first."""
        names = self._names
        for pair, latency_ns in zip(self._pair, self._latency_ns, strict=True):
            publisher, topic = names[pair]
            yield publisher, topic, latency_ns
