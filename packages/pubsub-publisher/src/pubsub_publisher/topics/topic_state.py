"""The state of one topic of a publisher: sequence numbers, gathered events, history."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from pubsub_common.protocol.batches import batch_prefix
from pubsub_common.protocol.events import event_prefix
from pubsub_publisher.topics.event_columns import EventColumns, Stamped
from pubsub_publisher.topics.fetched import Fetched, in_order
from pubsub_publisher.topics.history import History

# Large enough that the cost of a message is small (libzmq writes the first 8 KiB of each
# separately), small enough for the caches.
BATCH_BYTES: Final = 262_144
BATCH_EVENTS: Final = 256
# Two smaller payloads fit into a batch.
UNBATCHED_BYTES: Final = BATCH_BYTES // 2
# Gathered events that go by shared memory: a reference to them costs as much as some of them.
LANE_BYTES: Final = 8 * BATCH_BYTES
# How long the first event of a batch waits for the others.
MAX_BATCH_AGE_NS: Final = 1_000_000

Events = Sequence[Stamped] | EventColumns


def first_part(
    events: Sequence[Stamped], most_bytes: int = BATCH_BYTES
) -> Sequence[Stamped]:
    """The first events with at most so many bytes of payload, but at least one event."""
    sizes = list(accumulate([len(payload) for _, payload in events]))
    return events[: max(1, bisect(sizes, most_bytes))]


class TopicState:
    """The prepared values of one topic that every event needs, and the gathered events of its
    next message.

    ``next_sequence`` is the number of the first event that has not left: the first of
    ``gathered``, if there are any. Any thread appends to ``gathered`` without a lock: append
    is one step, and an appended event is accepted. Only the thread that holds the lock of the
    data socket removes events. ``watched`` means that the control thread checks them; a
    thread that appends tests it afterwards. ``history`` stores events that have left.
    """

    __slots__ = (
        "batch_prefix",
        "begun_at_ns",
        "begun_ns",
        "event_prefix",
        "fetched",
        "gathered",
        "gathered_bytes",
        "history",
        "name",
        "next_sequence",
        "watched",
    )

    def __init__(self, name: str, history: History | None = None) -> None:
        self.name = name
        self.event_prefix = event_prefix(name)
        self.batch_prefix = batch_prefix(name)
        self.next_sequence = 0
        self.history = history
        self.gathered: list[Stamped] = []
        # Of the calls that take items from quick sources. Their events leave before those that
        # are gathered after them.
        self.fetched: list[Fetched] = []
        # Of payloads, but a sender counts the first one of its batch alone
        # (`sending/event_socket.py`); threads may count some twice.
        self.gathered_bytes = 0
        self.watched = False
        # When the gathering began: on the publisher's clock, and monotonic.
        self.begun_ns = 0
        self.begun_at_ns = 0

    @property
    def next_number(self) -> int:
        """The number of the next event that is published."""
        return self.next_sequence + len(self.gathered)

    @property
    def waits(self) -> bool:
        """Whether events of this topic have not left."""
        return bool(self.gathered) or any(each.stamps_ns for each in self.fetched)

    def gather_fetched(self, fetched: Fetched, below_bytes: int) -> None:
        """Move the first of these items to the gathered events, in the order of their times:
        an item's source may publish, too. Only plain bytes, smaller than this."""
        gathered = self.gathered
        events = fetched.events(below_bytes)
        count, end = len(events), len(gathered)
        if not count:
            return
        start = end
        if end and gathered[end - 1][0] > events[0][0]:
            start = 0
            events = in_order(gathered[:end], events)
        self.gathered_bytes += sum(len(payload) for _, payload in events)
        gathered[start:end] = events; del fetched.items[:count], fetched.stamps_ns[:count]; fetched.count += count  # noqa: E501, E702  # fmt: skip

    def next_part(self, limit: int, most_bytes: int = BATCH_BYTES) -> Sequence[Stamped]:
        """The first gathered events that fit into one message of at most so many bytes of
        payload, at most ``limit``."""
        part = self.gathered[: min(limit, BATCH_EVENTS)]
        # Of a sender's own batch the first event alone is counted. No other is larger, unless
        # they are all small.
        first = len(part[0][1])
        if self.gathered_bytes > first or len(part) * first > most_bytes:
            return first_part(part, most_bytes)
        return part

    def commit(self, first: int, events: Events) -> None:
        """These events, numbered from ``first`` on, have left. An exception may interrupt it
        anywhere; a second call completes it. So may calls for the parts of them."""
        if self.history is not None:
            self.history.add(first, events)
        self.next_sequence = max(self.next_sequence, first + len(events))
        if isinstance(events, EventColumns):
            events.have_left()
        gathered = self.gathered
        if gathered and gathered[0] is events[0]:
            del gathered[: len(events)]
        if not gathered:
            self.gathered_bytes = 0
