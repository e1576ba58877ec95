"""The state of one topic of a publisher: sequence numbers, open batch, history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pubsub_common.protocol.events import topic_prefix
from pubsub_publisher.topics.history import History

# Large enough that what a message costs does not count, small enough for the caches.
BATCH_BYTES: Final = 65_536
BATCH_EVENTS: Final = 256
# How long the first event of a batch waits for the others.
MAX_BATCH_AGE_NS: Final = 1_000_000


def batch_limit(size: int) -> int:
    """How many events make a batch full, if their payloads have ``size`` bytes each."""
    return min(BATCH_EVENTS, BATCH_BYTES // (size + 1) + 1)


class TopicState:
    """What one topic needs at every event, ready made, and its open batch.

    ``next_sequence`` is the number of the first event that has not been sent, which is
    the first of the open batch, if there is one. ``history`` holds those that were."""

    __slots__ = (
        "batch_begun_ns",
        "batch_bytes",
        "history",
        "name",
        "next_sequence",
        "payloads",
        "prefix",
        "stamps_ns",
    )

    def __init__(self, name: str, history: History | None = None) -> None:
        self.name = name
        self.prefix = topic_prefix(name)
        self.next_sequence = 0
        self.history = history
        self.batch_begun_ns = 0  # when the open batch was begun, monotonic
        self.clear_batch()

    @property
    def next_number(self) -> int:
        """The number of the next event that is published."""
        return self.next_sequence + len(self.stamps_ns)

    def clear_batch(self) -> None:
        """Begin a new batch."""
        self.stamps_ns: list[int] = []
        self.payloads: list[bytes] = []
        self.batch_bytes = 0

    def mark_sent(self, stamps_ns: Sequence[int], payloads: Sequence[bytes]) -> None:
        """The next events have left."""
        self.next_sequence += len(payloads)
        if self.history is not None:
            for stamp_ns, payload in zip(stamps_ns, payloads, strict=True):
                self.history.add(stamp_ns, payload)
