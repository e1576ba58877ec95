"""Takes many items at once from a source that is quick (`pubsub_publisher.topics.fetched`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, Protocol

from pubsub_common.errors import PubSubError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.fetched import Fetch, Fetched
from pubsub_publisher.topics.topic_state import BATCH_EVENTS, TopicState

# A source is quick if so many items come within this time. Then more of them are taken in one
# step; 256 of a quick one take a quarter of the time that an event may wait.
LOOK_AFTER: Final = 32
QUICK_NS: Final = 100_000
_END: Final = object()

STOPPED: Final = "this publisher was stopped before the events could leave"


class BatchSocket(Protocol):
    """The methods of `EventSocket` that batches need."""

    bounds: QueueBounds
    monotonic_ns: Callable[[], int]

    def gather(self, topic: TopicState, payload: bytes) -> bool: ...

    def send_batch(self, topic: TopicState, payloads: Sequence[bytes]) -> bool: ...

    def fetch(self, topic: TopicState, source: Iterator[object]) -> Fetch: ...

    def send_in_turn(self, topic: TopicState, events: Sequence[Stamped]) -> bool: ...

    def occupied(self) -> bool: ...

    def flush(self, topic: TopicState) -> bool: ...


def send_quick(
    socket: BatchSocket,
    source: Iterator[object],
    topic: TopicState,
    find: Callable[[Any], tuple[TopicState, bytes]],
) -> int:
    """Send payloads of a quick ``source``, until it is slow, or yields something else, or
    ends. ``find`` returns the topic and the payload of anything else. Returns the number of
    items."""
    fetch = socket.fetch(topic, chain(source, (_END,)))
    fetched, monotonic_ns = fetch.fetched, socket.monotonic_ns
    size, others = LOOK_AFTER, 0
    socket.flush(topic)  # from now on the control thread checks
    while size >= LOOK_AFTER:
        begun_ns = monotonic_ns()
        try:
            fetch.take(size)
        except Exception:
            _send_fetched(socket, fetched, topic, find)
            raise
        took_ns = monotonic_ns() - begun_ns
        unusual, ended = _send_fetched(socket, fetched, topic, find)
        others += unusual
        if unusual or ended:
            break
        # Halve it before a message is late.
        size = min(2 * size, BATCH_EVENTS) if took_ns < QUICK_NS else size // 2
    return fetched.count + others


def _send_fetched(
    socket: BatchSocket,
    fetched: Fetched,
    topic: TopicState,
    find: Callable[[Any], tuple[TopicState, bytes]],
) -> tuple[int, bool]:
    """Send all items that have come. Returns the number of those that were not plain payloads,
    and whether the source has ended."""
    items, stamps_ns, others = fetched.items, fetched.stamps_ns, 0
    while stamps_ns:
        if not socket.flush(topic):
            raise PubSubError(STOPPED)
        if stamps_ns:
            item = items[0]
            if item is _END:
                return others, True
            other_topic, payload = find(item)
            if not socket.send_in_turn(other_topic, [(stamps_ns[0], payload)]):
                raise PubSubError(STOPPED)
            # Only now: those behind it do not overtake it.
            del items[0], stamps_ns[0]
            others += 1
    return others, False
