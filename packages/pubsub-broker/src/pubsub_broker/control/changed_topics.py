"""Topics of a group that are to be looked at again, in turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class ChangedTopics:
    """``due_at`` is when the next is to be looked at, in seconds of one monotonic clock; None
    while there is none."""

    def __init__(self, delay_s: float = 0.0) -> None:
        """So long a change may wait for others."""
        self.due_at: float | None = None
        self._delay_s = delay_s
        self._topics: OrderedDict[str, None] = OrderedDict()

    def add(self, topics: Iterable[str], now: float) -> None:
        """These have changed; one that waits already keeps its turn."""
        for topic in topics:
            self._topics[topic] = None
            if self.due_at is None:
                self.due_at = now + self._delay_s

    def forget(self, topic: str) -> None:
        """Nobody wants it any more."""
        self._topics.pop(topic, None)

    def take(self) -> str | None:
        """The next one; None when there is none."""
        topic = self._topics.popitem(last=False)[0] if self._topics else None
        if not self._topics:
            self.due_at = None
        return topic
