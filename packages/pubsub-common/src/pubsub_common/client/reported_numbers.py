"""The sequence numbers of a publisher that the broker knows; heartbeats send only changes."""

from __future__ import annotations

from collections.abc import Mapping


class ReportedNumbers:
    """The next sequence number of each topic, as it was sent to the broker."""

    def __init__(self) -> None:
        self._reported: dict[str, int] = {}
        self._last: dict[str, int] = {}  # those of the last heartbeat

    def changed(self, numbers: Mapping[str, int]) -> dict[str, int]:
        """The next sequence numbers that the broker does not know; they count as sent. Unsent
        numbers are 0 for the broker."""
        self._last = {
            topic: number
            for topic, number in numbers.items()
            if number != self._reported.get(topic, 0)
        }
        self._reported.update(self._last)
        return self._last

    def not_sent(self) -> None:
        """The last heartbeat was not sent."""
        for topic in self._last:
            self._reported.pop(topic, None)

    def clear(self) -> None:
        """The broker knows nothing."""
        self._reported.clear()
