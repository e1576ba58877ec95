"""Events cut into batches by who must not wait for room. Core, around an event socket.

It is for `pubsub_publisher.aio`. What `pubsub_publisher.sending.batching` puts into a topic's open
batch, and waits for, is here a list of payloads with their stamps. A batch is ready when it
is full, when its first event is a millisecond old, or when there are no more events.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from pubsub_publisher.sending.batching import Item, topic_and_payload
from pubsub_publisher.sending.event_socket import MAX_BATCH_AGE_NS, EventSocket
from pubsub_publisher.topics.topic_state import BATCH_BYTES, BATCH_EVENTS, TopicState


@dataclasses.dataclass(slots=True)
class PendingBatch:
    """Events of one topic that are to be sent in one message."""

    topic: TopicState
    stamps_ns: list[int]
    payloads: list[bytes]


def batches(
    event_socket: EventSocket,
    items: Iterable[Item],
    default: TopicState | None,
    now_ns: Callable[[], int],
) -> Iterator[PendingBatch]:
    """``items`` (see `send_all`) in batches.

    Raises:
        ConfigError: an item is none, or of a topic that is not ours. Those before it
            are given first, as they are before an error of ``items``.
    """
    if default is None or not isinstance(items, list | tuple):
        yield from _batch_each(event_socket, items, default, now_ns)
        return
    for begin in range(0, len(items), BATCH_EVENTS):
        slice_: Sequence[Item] = items[begin : begin + BATCH_EVENTS]
        payloads = [item for item in slice_ if type(item) is bytes]
        if len(payloads) < len(slice_) or sum(map(len, payloads)) > BATCH_BYTES:
            yield from _batch_each(event_socket, slice_, default, now_ns)
        else:
            yield PendingBatch(default, [now_ns() for _ in payloads], payloads)


def _batch_each(
    event_socket: EventSocket,
    items: Iterable[Item],
    default: TopicState | None,
    now_ns: Callable[[], int],
) -> Iterator[PendingBatch]:
    begun: dict[TopicState, PendingBatch] = {}
    sizes: dict[TopicState, int] = {}
    source = iter(items)
    while True:
        try:
            item = next(source)
            if type(item) is bytes and default is not None:
                topic, payload = default, item
            else:
                topic, payload = topic_and_payload(event_socket, item)
        except StopIteration:
            yield from begun.values()
            return
        except Exception:
            yield from begun.values()
            raise
        stamp_ns = now_ns()
        chunk = begun.get(topic)
        if chunk is not None and (
            len(chunk.payloads) >= BATCH_EVENTS
            or sizes[topic] >= BATCH_BYTES
            or stamp_ns - chunk.stamps_ns[0] >= MAX_BATCH_AGE_NS
        ):
            yield begun.pop(topic)
            chunk = None
        if chunk is None:
            begun[topic] = PendingBatch(topic, [stamp_ns], [payload])
            sizes[topic] = len(payload)
        else:
            chunk.stamps_ns.append(stamp_ns)
            chunk.payloads.append(payload)
            sizes[topic] += len(payload)
