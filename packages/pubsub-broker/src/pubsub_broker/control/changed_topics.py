"""A queue of the topics of a group to recompute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class ChangedTopics:
    """``due_at`` is when the next topic is due, in seconds of one monotonic clock; None
    if the queue is empty."""

    def __init__(self, delay_s: float = 0.0) -> None:
        """How long a change may wait for more changes."""
        self.due_at: float | None = None
        self._delay_s = delay_s
        self._topics: OrderedDict[str, None] = OrderedDict()

    def add(self, topics: Iterable[str], now: float) -> None:
        """Queue topics; a topic in the queue keeps its position."""
        for topic in topics:
            self._topics[topic] = None
            if self.due_at is None:
                self.due_at = now + self._delay_s

    def is_due(self, now: float) -> bool:
        """Whether a topic is due."""
        return self.due_at is not None and now >= self.due_at

    def forget(self, topic: str) -> None:
        """Remove a topic that has no subscriber any longer."""
        self._topics.pop(topic, None)

    def take(self) -> str | None:
        """Remove and return the next topic; None if the queue is empty."""
        topic = self._topics.popitem(last=False)[0] if self._topics else None
        if not self._topics:
            self.due_at = None
        return topic
