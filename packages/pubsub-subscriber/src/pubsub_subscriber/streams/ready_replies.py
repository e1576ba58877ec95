"""The ready handshake: the publishers that have not replied yet, for each topic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# Most stored replies that come before the broker's notification.
_MAX_EARLY: Final = 65_536

Key = tuple[int, str]


class ReadyReplies:
    """Replies by publisher (its session) and topic."""

    def __init__(self) -> None:
        self._awaited: dict[Key, None] = {}  # in order
        self._received: set[Key] = set()

    def expect(self, session: int, topics: Iterable[str]) -> None:
        """A publisher of these topics has joined: it replies for each, or has replied."""
        for topic in topics:
            if (session, topic) not in self._received:
                self._awaited[session, topic] = None

    def expect_no_longer(self, session: int, topics: Iterable[str]) -> None:
        """A publisher left, or removed topics."""
        for topic in topics:
            self._awaited.pop((session, topic), None)

    def receive(self, session: int, topic: str) -> None:
        """A publisher has replied."""
        key = session, topic
        self._awaited.pop(key, None)
        if len(self._received) < _MAX_EARLY:
            self._received.add(key)

    def forget(self, key: Key) -> None:
        """A publisher is gone. If it comes back, it must reply again."""
        self._received.discard(key)

    def forget_all(self) -> None:
        """The path of events has changed: all publishers must reply again."""
        self._received.clear()

    def awaited(self) -> int:
        """Number of missing replies."""
        return len(self._awaited)

    def awaited_topics(self) -> frozenset[str]:
        """The topics with a missing reply."""
        return frozenset(topic for _, topic in self._awaited)

    def awaited_sessions(self) -> frozenset[int]:
        """The publishers with a missing reply."""
        return frozenset(session for session, _ in self._awaited)
