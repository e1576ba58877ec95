"""Cuts many events into batches, and sends them.

A batch is sent when it is full, when its first event is a millisecond old, or when the call
that fills it ends. A list is cut at once, since it makes nobody wait.

Threads gather events in the topic (`send_all`): the gathering thread looks at the clock at
each event; while it waits for its next event (the iterable may be slow), the control thread
looks after them. For asyncio, which must not wait for room, a batch is a list of its own
(`batches`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.payloads import Payload, bytes_payload, is_bytes_like
from pubsub_publisher.topics.topic_set import unknown_topic
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    BATCH_EVENTS,
    MAX_BATCH_AGE_NS,
    Stamped,
    TopicState,
)

_STOPPED: Final = "this publisher was stopped before the events could leave"

Item = Payload | tuple[str, Payload]
Topics = Mapping[str, TopicState]


class BatchSocket(Protocol):
    """The socket, as far as batches need it. What the methods do is told in `EventSocket`."""

    topics: Topics
    bounds: QueueBounds

    def gather(self, topic: TopicState, payload: bytes) -> bool: ...

    def send_batch(self, topic: TopicState, payloads: Sequence[bytes]) -> bool: ...

    def flush(self, topic: TopicState) -> bool: ...


@dataclasses.dataclass(slots=True)
class PendingBatch:
    """Events of one topic that are to be sent in one message."""

    topic: TopicState
    events: list[Stamped]


def send_all(
    socket: BatchSocket, items: Iterable[Item], default: TopicState | None
) -> int:
    """Send ``items``: payloads on the topic ``default``, or pairs of topic and payload.
    Returns how many, when all have left.

    Raises:
        ConfigError: an item is neither, or of a topic that is not ours. Those before it
            have left.
        PubSubError: the socket was closed, or stopped while it waited for room.
    """
    used: dict[TopicState, None] = {}
    if default is not None:
        used[default] = None
    try:
        if default is not None and isinstance(items, list | tuple):
            count = _send_list(socket, items, default, used)
        else:
            count = _send_each(socket, items, default, used)
    except Exception:
        # Those before it have left when this is raised. After any other exception, as of
        # Ctrl-C, the control thread sends them, at once as well.
        for topic in used:
            socket.flush(topic)
        raise
    if [topic for topic in used if not socket.flush(topic)]:
        raise PubSubError(_STOPPED)
    return count


def batches(
    topics: Topics,
    items: Iterable[Item],
    default: TopicState | None,
    now_ns: Callable[[], int],
    bounds: QueueBounds,
) -> Iterator[PendingBatch]:
    """``items`` (see `send_all`) in batches.

    Raises:
        ConfigError: an item is none, or of a topic that is not ours. Those before it
            are given first, as they are before an error of ``items``.
    """
    if default is None or not isinstance(items, list | tuple):
        yield from _batch_each(topics, items, default, now_ns, bounds)
        return
    for part, payloads in _slices(items, bounds):
        if payloads:
            yield PendingBatch(default, [(now_ns(), each) for each in payloads])
        else:
            yield from _batch_each(topics, part, default, now_ns, bounds)


def _slices(
    items: Sequence[Item], bounds: QueueBounds
) -> Iterator[tuple[Sequence[Item], list[bytes]]]:
    """``items`` in slices of as many as a batch takes; of a slice that is a batch as it
    stands, also the payloads, else none."""
    most = min(BATCH_BYTES, bounds.payload_bytes)
    for begin in range(0, len(items), BATCH_EVENTS):
        part = items[begin : begin + BATCH_EVENTS]
        payloads = [item for item in part if type(item) is bytes]
        if len(payloads) < len(part) or sum(map(len, payloads)) > most:
            payloads = []
        yield part, payloads


def _send_list(
    socket: BatchSocket,
    items: Sequence[Item],
    topic: TopicState,
    used: dict[TopicState, None],
) -> int:
    for part, payloads in _slices(items, socket.bounds):
        if not payloads:
            _send_each(socket, part, topic, used)
        elif not socket.send_batch(topic, payloads):
            raise PubSubError(_STOPPED)
    return len(items)


def _send_each(
    socket: BatchSocket,
    items: Iterable[Item],
    default: TopicState | None,
    used: dict[TopicState, None],
) -> int:
    gather, topics, bounds = socket.gather, socket.topics, socket.bounds
    count = 0
    for item in items:
        if type(item) is bytes and default is not None:
            topic, payload = default, item
        else:
            topic, payload = _topic_and_payload(topics, item, default, bounds)
            used[topic] = None
        if not gather(topic, payload):
            raise PubSubError(_STOPPED)
        count += 1
    return count


def _batch_each(
    topics: Topics,
    items: Iterable[Item],
    default: TopicState | None,
    now_ns: Callable[[], int],
    bounds: QueueBounds,
) -> Iterator[PendingBatch]:
    begun: dict[TopicState, PendingBatch] = {}
    sizes: dict[TopicState, int] = {}
    source = iter(items)
    while True:
        try:
            item = next(source)
            if type(item) is bytes and default is not None:
                bounds.check_payload(len(item))
                topic, payload = default, item
            else:
                topic, payload = _topic_and_payload(topics, item, default, bounds)
        except StopIteration:
            yield from begun.values()
            return
        except Exception:
            yield from begun.values()
            raise
        stamp_ns = now_ns()
        batch = begun.get(topic)
        if batch is not None and (
            len(batch.events) >= BATCH_EVENTS
            or sizes[topic] >= BATCH_BYTES
            or stamp_ns - batch.events[0][0] >= MAX_BATCH_AGE_NS
        ):
            yield begun.pop(topic)
            batch = None
        if batch is None:
            begun[topic] = PendingBatch(topic, [(stamp_ns, payload)])
            sizes[topic] = len(payload)
        else:
            batch.events.append((stamp_ns, payload))
            sizes[topic] += len(payload)


def _topic_and_payload(
    topics: Topics, item: Item, default: TopicState | None, bounds: QueueBounds
) -> tuple[TopicState, bytes]:
    """The topic and the payload of an item that names its topic, or is bytes-like.

    Raises:
        ConfigError: it does not, or not rightly.
    """
    if default is not None and is_bytes_like(item):
        return default, bytes_payload(item, bounds)
    if not isinstance(item, tuple) or len(item) != 2:
        raise ConfigError(
            "an event is a payload (bytes) where the topic is clear, else a pair "
            f"of topic and payload; not {item!r:.60}"
        )
    name, payload = item
    topic = topics.get(name)
    if topic is None:
        raise unknown_topic(name, topics)
    return topic, bytes_payload(payload, bounds)
