"""Cuts many events into batches, and sends them.

A batch is sent when it is full, when its first event is a millisecond old, or when the call
that fills it ends. A list is cut at once.

Threads gather events in the topic (`send_all`), or take many at once from a quick source
(`quick_sources`). The gathering thread checks the clock at each event; while it waits for its
next event (the iterable may be slow), the control thread checks the clock. For asyncio, which
must not wait for room, a batch is a separate list (`batches`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.topics import validate_topic
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.payloads import Payload, bytes_payload, is_bytes_like
from pubsub_publisher.sending import quick_sources
from pubsub_publisher.sending.quick_sources import STOPPED, BatchSocket
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_set import unknown_topic
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    BATCH_EVENTS,
    MAX_BATCH_AGE_NS,
    TopicState,
)

Item = Payload | str | tuple[str, Payload | str]
Topics = Mapping[str, TopicState]


@dataclasses.dataclass(slots=True)
class PendingBatch:
    """Events of one topic for one message."""

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
    ``declare`` adds a topic that is not in ``topics``. Returns the number of events, when all
    have left.

    Raises:
        ConfigError: An item is not an event, or ``declare`` refuses its topic. The items
            before it have left.
        PubSubError: The socket was closed, or stopped while it waited for room.
    """
    _check_many(items, topics)
    used: dict[TopicState, None] = {}
    if default is not None:
        used[default] = None
    try:
        if default is not None and isinstance(items, list | tuple):
            count = _send_list(socket, items, default, used, topics, declare)
        else:
            count = _send_each(socket, items, default, used, topics, declare)
    except Exception:
        # The items before it leave now. After any other exception, for example of Ctrl-C, the
        # control thread sends them at once.
        for topic in used:
            socket.flush(topic)
        raise
    if [topic for topic in used if not socket.flush(topic)]:
        raise PubSubError(STOPPED)
    return count


def batches(
    topics: Topics,
    items: Iterable[Item],
    default: TopicState | None,
    now_ns: Callable[[], int],
    bounds: QueueBounds,
) -> Iterator[PendingBatch | str]:
    """``items`` (see `send_all`) in batches. A text is the name of a topic; the caller adds it
    to ``topics`` before it continues.

    Raises:
        ConfigError: An item is not an event. The events before it are yielded first, also
            before an error of ``items``.
    """
    _check_many(items, topics)
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
    """``items`` in slices of the size of a batch. With a slice of plain bytes that makes one
    batch come its payloads, else an empty list."""
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
            raise PubSubError(STOPPED)
    return len(items)


def _send_each(
    socket: BatchSocket,
    items: Iterable[Item],
    default: TopicState | None,
    used: dict[TopicState, None],
    topics: Topics,
    declare: Callable[[str], TopicState],
) -> int:
    gather, bounds, source = socket.gather, socket.bounds, iter(items)

    def find(item: Item) -> tuple[TopicState, bytes]:
        name, payload = _topic_and_payload(topics, item, default, bounds)
        topic = topics.get(name) or declare(name)
        used[topic] = None
        return topic, payload

    count = plain = 0
    looked_ns = socket.monotonic_ns()
    for item in source:
        if type(item) is bytes and default is not None:
            topic, payload = default, item
            plain += 1
        else:
            topic, payload = find(item)
            plain = 0
        if not gather(topic, payload):
            raise PubSubError(STOPPED)
        count += 1
        if plain >= quick_sources.LOOK_AFTER and default is not None:
            plain, before_ns = 0, looked_ns
            looked_ns = socket.monotonic_ns()
            quick = looked_ns - before_ns < quick_sources.QUICK_NS
            # A signal handler that interrupts a send only leaves events to other threads.
            if quick and not socket.occupied():
                count += quick_sources.send_quick(socket, source, default, find)
                looked_ns = socket.monotonic_ns()
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
            or sizes[topic] + len(payload) > BATCH_BYTES
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
        ConfigError: It is neither, or a payload although the topic is not clear.
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


def _check_many(items: object, topics: Topics) -> None:
    """Raises:
    ConfigError: ``items`` is one payload or one pair, not many, or cannot be iterated.
    """
    if not isinstance(items, Iterable) and not hasattr(items, "__getitem__"):
        raise ConfigError(
            f"publish_events takes a list of events, not {type(items).__name__}"
        )
    if isinstance(items, Mapping):
        raise ConfigError(
            "publish_events takes a list of events, not a mapping; for pairs of topic and "
            "payload write publish_events(mapping.items())"
        )
    if isinstance(items, str | bytes | bytearray | memoryview):
        raise ConfigError(
            "publish_events takes a list of events, not one payload: "
            f"{type(items).__name__}; use publish_event for one"
        )
    if isinstance(items, tuple) and len(items) == 2 and isinstance(items[0], str):
        name, payload = items
        # Two texts may be two payloads, unless the first one is a topic.
        if not isinstance(payload, str | tuple) or (
            isinstance(payload, str) and name in topics
        ):
            raise ConfigError(
                f"publish_events takes a list of events, and ({name!r:.40}, ...) looks like "
                f"one pair of topic and payload: write publish_event({name!r:.40}, ...), or "
                "a list of pairs"
            )
