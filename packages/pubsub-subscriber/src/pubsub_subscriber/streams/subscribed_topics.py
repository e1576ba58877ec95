"""The topics that a subscriber is subscribed to. Core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.wildcards import is_filter


class Names:
    """Its own topics, and those of publishers that a wildcard of its own stands for."""

    def __init__(self, own: Sequence[str]) -> None:
        """``own`` are topics and wildcards."""
        self._own = frozenset(own)
        self._names = dict.fromkeys(name for name in own if not is_filter(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def replace(self, names: Iterable[str]) -> None:
        """These and no others, says the broker."""
        self._names = dict.fromkeys(names)

    def learn(self, publishers: Iterable[PublisherInfo]) -> list[str]:
        """The topics of publishers belong to them from now on; those that are new."""
        new = {
            topic: None
            for info in publishers
            for topic in info.topics
            if topic not in self._names
        }
        self._names.update(new)
        return list(new)

    def forget(self, topic: str) -> bool:
        """A topic that nobody publishes; False when it is one of our own, and stays."""
        if topic in self._own:
            return False
        self._names.pop(topic, None)
        return True

    def in_all(self, part: Sequence[str]) -> int:
        """How many there are, if ``part``, those of one connection, are not all; else 0."""
        return len(self._names) if len(part) < len(self._names) else 0
