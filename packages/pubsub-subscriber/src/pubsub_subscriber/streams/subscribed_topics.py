"""The topics of a subscriber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.wildcards import is_filter


class SubscribedTopics:
    """Its own topics, and those of publishers that a wildcard of its own stands for."""

    def __init__(self, own: Sequence[str]) -> None:
        """``own`` are topics and wildcards."""
        self._own = frozenset(own)
        self._topics = dict.fromkeys(topic for topic in own if not is_filter(topic))

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def replace(self, topics: Iterable[str]) -> None:
        """These and no others, says the broker."""
        self._topics = dict.fromkeys(topics)

    def add_of(self, publishers: Iterable[PublisherInfo]) -> list[str]:
        """The topics of publishers belong to them from now on; those that are new."""
        new = {
            topic: None
            for info in publishers
            for topic in info.topics
            if topic not in self._topics
        }
        self._topics.update(new)
        return list(new)

    def remove(self, topic: str) -> bool:
        """A topic that nobody publishes; False when it is one of our own, and stays."""
        if topic in self._own:
            return False
        self._topics.pop(topic, None)
        return True

    def total_topics(self, part: Sequence[str]) -> int:
        """How many there are, if ``part``, those of one connection, are not all; else 0."""
        return len(self._topics) if len(part) < len(self._topics) else 0
