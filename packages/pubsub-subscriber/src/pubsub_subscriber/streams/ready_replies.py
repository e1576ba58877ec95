"""The ready handshake: which publishers have still to answer for which of our topics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# Answers that come before the broker's word of a join are remembered, up to here.
_MAX_EARLY: Final = 65_536

Key = tuple[int, str]


class ReadyReplies:
    """Answers by publisher (its session) and topic."""

    def __init__(self) -> None:
        self._awaited: dict[Key, None] = {}  # in order
        self._received: set[Key] = set()

    def expect(self, session: int, topics: Iterable[str]) -> None:
        """A publisher of these topics is there: it will answer for each, or has."""
        for topic in topics:
            if (session, topic) not in self._received:
                self._awaited[session, topic] = None

    def expect_no_longer(self, session: int, topics: Iterable[str]) -> None:
        """A publisher left, or gave up topics."""
        for topic in topics:
            self._awaited.pop((session, topic), None)

    def receive(self, session: int, topic: str) -> None:
        """A publisher has answered."""
        key = session, topic
        self._awaited.pop(key, None)
        if len(self._received) < _MAX_EARLY:
            self._received.add(key)

    def forget(self, key: Key) -> None:
        """A publisher is gone. Should it come back, it must answer again."""
        self._received.discard(key)

    def forget_all(self) -> None:
        """The route of events has changed: all publishers must answer again."""
        self._received.clear()

    def awaited(self) -> int:
        """How many answers are still to come."""
        return len(self._awaited)

    def awaited_topics(self) -> frozenset[str]:
        """The topics for which an answer is still to come."""
        return frozenset(topic for _, topic in self._awaited)

    def awaited_sessions(self) -> frozenset[int]:
        """The publishers of which an answer is still to come."""
        return frozenset(session for session, _ in self._awaited)
