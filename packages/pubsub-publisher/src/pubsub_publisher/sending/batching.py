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
from pubsub_common.protocol.topics import validate_topic
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

Item = Payload | str | tuple[str, Payload | str]
Topics = Mapping[str, TopicState]


class BatchSocket(Protocol):
    """The socket, as far as batches need it. What the methods do is told in `EventSocket`."""

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
    socket: BatchSocket,
    items: Iterable[Item],
    default: TopicState | None,
    topics: Topics,
    declare: Callable[[str], TopicState],
) -> int:
    """Send ``items``: payloads on the topic ``default``, or pairs of topic and payload.
    ``declare`` adds a topic that is not in ``topics``. Returns how many, when all have left.

    Raises:
        ConfigError: an item is neither, or ``declare`` does not take its topic. The items
            before it have left.
        PubSubError: the socket was closed, or stopped while it waited for room.
    """
    _check_many(items)
    used: dict[TopicState, None] = {}
    if default is not None:
        used[default] = None
    try:
        if default is not None and isinstance(items, list | tuple):
            count = _send_list(socket, items, default, used, topics, declare)
        else:
            count = _send_each(socket, items, default, used, topics, declare)
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
) -> Iterator[PendingBatch | str]:
    """``items`` (see `send_all`) in batches. A text is the name of a topic that the caller
    adds to ``topics`` before it goes on.

    Raises:
        ConfigError: an item is not an event. The events before it are given first, also
            before an error of ``items``.
    """
    _check_many(items)
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
    topics: Topics,
    declare: Callable[[str], TopicState],
) -> int:
    for part, payloads in _slices(items, socket.bounds):
        if not payloads:
            _send_each(socket, part, topic, used, topics, declare)
        elif not socket.send_batch(topic, payloads):
            raise PubSubError(_STOPPED)
    return len(items)


def _send_each(
    socket: BatchSocket,
    items: Iterable[Item],
    default: TopicState | None,
    used: dict[TopicState, None],
    topics: Topics,
    declare: Callable[[str], TopicState],
) -> int:
    gather, bounds = socket.gather, socket.bounds
    count = 0
    for item in items:
        if type(item) is bytes and default is not None:
            topic, payload = default, item
        else:
            name, payload = _topic_and_payload(topics, item, default, bounds)
            topic = topics.get(name) or declare(name)
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
) -> Iterator[PendingBatch | str]:
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
                name, payload = _topic_and_payload(topics, item, default, bounds)
                if name not in topics:
                    yield from begun.values()
                    begun.clear()
                    yield name
                if name not in topics:  # another task has removed it
                    raise unknown_topic(name, topics)
                topic = topics[name]
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
) -> tuple[str, bytes]:
    """The topic and the payload of an item, which is a payload or a pair.

    Raises:
        ConfigError: it is neither, or a payload although the topic is not clear.
    """
    if isinstance(item, tuple) and len(item) == 2:
        name, payload = item
        if not isinstance(name, str):
            validate_topic(name)  # raises
        return name, bytes_payload(payload, bounds, text=True)
    if not isinstance(item, str) and not is_bytes_like(item):
        raise ConfigError(
            f"an event is a payload or a pair (topic, payload), not {item!r:.60}"
        )
    if default is None:
        raise ConfigError(
            f"this publisher has {len(topics)} topics, so name one for the payload "
            f"{item!r:.40}: publish_events(payloads, topic), or pairs (topic, payload)"
        )
    return default.name, bytes_payload(item, bounds, text=True)


def _check_many(items: object) -> None:
    """Raises:
    ConfigError: ``items`` is one payload, not many.
    """
    if isinstance(items, str | bytes | bytearray | memoryview):
        raise ConfigError(
            "publish_events takes a list of events, not one payload: "
            f"{type(items).__name__}; use publish_event for one"
        )
