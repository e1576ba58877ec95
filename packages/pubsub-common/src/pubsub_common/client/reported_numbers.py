"""Which sequence numbers of a publisher the broker knows, so that heartbeats tell changes
only."""

from __future__ import annotations

from collections.abc import Mapping


class ReportedNumbers:
    """The next sequence number of each topic, as the broker was told it."""

    def __init__(self) -> None:
        self._reported: dict[str, int] = {}
        self._last: dict[str, int] = {}  # those of the last heartbeat

    def changed(self, numbers: Mapping[str, int]) -> dict[str, int]:
        """Of these next sequence numbers those that the broker does not know, which it is
        told now. What it was told nothing of is 0 for it."""
        self._last = {
            topic: number
            for topic, number in numbers.items()
            if number != self._reported.get(topic, 0)
        }
        self._reported.update(self._last)
        return self._last

    def not_sent(self) -> None:
        """The last heartbeat did not leave."""
        for topic in self._last:
            self._reported.pop(topic, None)

    def clear(self) -> None:
        """The broker knows nothing."""
        self._reported.clear()
