"""Chooses the owner of each topic for which a publisher has an ownership strength.

The owner is the strongest registered publisher; of equally strong ones, the one with the
lowest session. A topic without strengths has no owner.
"""

from __future__ import annotations

from collections.abc import Collection

from pubsub_common.protocol.messages import PublisherInfo


class Ownership:
    """``in_use``: a publisher has had a strength."""

    def __init__(self) -> None:
        self.in_use = False
        self._owners: dict[str, int] = {}

    def owner(self, topic: str) -> int | None:
        """The session of the publisher that owns a topic."""
        return self._owners.get(topic)

    def choose(self, topic: str, publishers: Collection[PublisherInfo]) -> bool:
        """Choose the owner of ``topic`` among its ``publishers``. Returns whether it has an
        owner, or has lost it."""
        if any(topic in info.strengths for info in publishers):
            strongest = max(
                publishers,
                key=lambda info: (info.strengths.get(topic, -1), -info.session),
            )
            self._owners[topic] = strongest.session
            return True
        return self._owners.pop(topic, None) is not None
