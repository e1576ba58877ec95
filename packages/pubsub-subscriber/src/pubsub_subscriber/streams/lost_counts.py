"""Counts lost events by topic, for heartbeats."""

from __future__ import annotations

from pubsub_common.defaults import MAX_TOPICS_PER_CLIENT
from pubsub_common.protocol import numbers
from pubsub_common.protocol.sequence import Gap


def count_lost(lost: dict[str, int], gap: Gap) -> None:
    """Add a gap to the counts. Publishers choose the numbers and, with wildcards, the topics:
    so the counts are limited to the size of a heartbeat."""
    before = lost.get(gap.topic)
    if before is None and len(lost) >= MAX_TOPICS_PER_CLIENT:
        return  # `StreamTracker` still counts it
    lost[gap.topic] = numbers.add(before or 0, gap.count)
