"""Chooses the owner of each topic for which a publisher has an ownership strength.

The owner is the strongest publisher that is there, of several the one with the lowest
session. A topic for which nobody has a strength has no owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pubsub_common.protocol.messages import PublisherInfo


class Ownership:
    """``in_use`` says whether any publisher ever had a strength."""

    def __init__(self) -> None:
        self.in_use = False
        self._owners: dict[str, int] = {}

    def owner(self, topic: str) -> int | None:
        """The session of the publisher that owns a topic."""
        return self._owners.get(topic)

    def choose(
        self, topics: Iterable[str], publishers: Collection[PublisherInfo]
    ) -> list[str]:
        """Choose the owners of ``topics`` among ``publishers``. Returns the topics that
        have an owner, or have none any more."""
        owned = []
        for topic in topics:
            there = [info for info in publishers if topic in info.topics]
            if any(topic in info.strengths for info in there):
                strongest = max(
                    there,
                    key=lambda info: (info.strengths.get(topic, -1), -info.session),
                )
                self._owners[topic] = strongest.session
            elif self._owners.pop(topic, None) is None:
                continue
            owned.append(topic)
        return owned
