"""The topics of a subscriber."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pubsub_common.protocol.batches import BATCH_MARK
from pubsub_common.protocol.events import EVENT_MARK, topic_prefix
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.wildcards import is_filter


class SubscribedTopics:
    """Its own topics, and topics of publishers that match its wildcards.

    ``by_event`` and ``by_batch`` are the topics by the first bytes of an event's or a batch's
    frame. The receiving thread reads them without a lock for each frame, only by looking up a
    key.
    """

    def __init__(self, own: Sequence[str]) -> None:
        """``own`` are topics and wildcards."""
        self.by_event: dict[bytes, str] = {}
        self.by_batch: dict[bytes, str] = {}
        self._own = frozenset(own)
        self._topics: dict[str, None] = {}
        self._add(topic for topic in own if not is_filter(topic))

    def __iter__(self) -> Iterator[str]:
        return iter(self._topics)

    def __len__(self) -> int:
        return len(self._topics)

    def replace(self, topics: Iterable[str]) -> None:
        """The broker's full list of topics. Events of others may still wait."""
        self._topics = {}
        self._add(topics)

    def add_of(self, publishers: Iterable[PublisherInfo]) -> tuple[str, ...]:
        """Add the topics of publishers; returns the new ones."""
        new = {
            topic: None
            for info in publishers
            for topic in info.topics
            if topic not in self._topics
        }
        self._add(new)
        return tuple(new)

    def remove(self, topic: str) -> bool:
        """Remove a topic without publishers and without waiting events; False if it is one of
        the subscriber's own, which stays."""
        if topic in self._own:
            return False
        self._topics.pop(topic, None)
        self.by_event.pop(topic_prefix(topic) + EVENT_MARK, None)
        self.by_batch.pop(topic_prefix(topic) + BATCH_MARK, None)
        return True

    def _add(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._topics[topic] = None
            self.by_event[topic_prefix(topic) + EVENT_MARK] = topic
            self.by_batch[topic_prefix(topic) + BATCH_MARK] = topic
