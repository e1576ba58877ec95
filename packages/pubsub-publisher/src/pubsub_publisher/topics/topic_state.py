"""The state of one topic of a publisher: sequence numbers, gathered events, history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_common.protocol.batches import batch_prefix
from pubsub_common.protocol.events import event_prefix
from pubsub_publisher.topics.history import History

# Large enough that the cost of a message is small, small enough for the caches.
BATCH_BYTES: Final = 65_536
BATCH_EVENTS: Final = 256
# How long the first event of a batch waits for the others.
MAX_BATCH_AGE_NS: Final = 1_000_000

# Above this size, gathered events leave one by one.
_MESSAGE_BYTES: Final = 16 * 2**20

# When an event was published, in nanoseconds, and its payload.
Stamped = tuple[int, bytes]


class EventColumns:
    """Events as a list of time stamps and a list of payloads, as in a batch frame. Making
    pairs would take a third of the time of publishing a list."""

    __slots__ = ("payloads", "stamps_ns")

    def __init__(self, stamps_ns: Sequence[int], payloads: Sequence[bytes]) -> None:
        """One stamp for each payload."""
        self.stamps_ns = stamps_ns
        self.payloads = payloads

    def __len__(self) -> int:
        return len(self.payloads)

    def __getitem__(self, index: int) -> Stamped:
        return self.stamps_ns[index], self.payloads[index]

    def __iter__(self) -> Iterator[Stamped]:
        return zip(self.stamps_ns, self.payloads, strict=True)


Events = Sequence[Stamped] | EventColumns


def batch_limit(size: int) -> int:
    """Number of events in a full batch, with payloads of ``size`` bytes."""
    return min(BATCH_EVENTS, BATCH_BYTES // (size + 1) + 1)


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
        # Of payload, at least of large ones; threads may count some twice.
        self.gathered_bytes = 0
        self.watched = False
        # When the gathering began: on the publisher's clock, and monotonic.
        self.begun_ns = 0
        self.begun_at_ns = 0

    @property
    def next_number(self) -> int:
        """The number of the next event that is published."""
        return self.next_sequence + len(self.gathered)

    def next_part(self, limit: int) -> list[Stamped]:
        """The first gathered events that fit into one message, at most ``limit``."""
        if self.gathered_bytes > _MESSAGE_BYTES:
            limit = 1
        return self.gathered[: min(limit, BATCH_EVENTS)]

    def commit(self, first: int, events: Events) -> None:
        """These events, numbered from ``first`` on, have left. An exception may interrupt it
        anywhere; a second call completes it."""
        if self.history is not None:
            self.history.add(first, events)
        self.next_sequence = first + len(events)
        gathered = self.gathered
        if gathered and gathered[0] is events[0]:
            del gathered[: len(events)]
        if not gathered:
            self.gathered_bytes = 0
