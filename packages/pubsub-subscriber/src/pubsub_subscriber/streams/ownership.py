"""Chooses the owner of each topic for which a publisher has an ownership strength.

The owner is the strongest publisher that is there, of several the one with the lowest
session. A topic for which nobody has a strength has no owner.
"""

from __future__ import annotations

from collections.abc import Collection

from pubsub_common.protocol.messages import PublisherInfo


class Ownership:
    """``in_use`` says whether any publisher ever had a strength."""

    def __init__(self) -> None:
        self.in_use = False
        self._owners: dict[str, int] = {}

    def owner(self, topic: str) -> int | None:
        """The session of the publisher that owns a topic."""
        return self._owners.get(topic)

    def choose(self, topic: str, publishers: Collection[PublisherInfo]) -> bool:
        """Choose the owner of ``topic`` among its ``publishers``. Whether it has one, or
        has none any more."""
        if any(topic in info.strengths for info in publishers):
            strongest = max(
                publishers,
                key=lambda info: (info.strengths.get(topic, -1), -info.session),
            )
            self._owners[topic] = strongest.session
            return True
        return self._owners.pop(topic, None) is not None
