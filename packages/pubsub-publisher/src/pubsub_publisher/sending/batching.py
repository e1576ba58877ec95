"""Publishing many events at once. Core, around an event socket.

A batch is sent when it is full, when its first event is a millisecond old, or when the call
that fills it ends. The filling thread looks at the clock at each event; while it waits for
its next event (the iterable may be slow), the control thread looks after the batch. A list
is cut into batches at once, since it makes nobody wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_publisher.payloads import wrong_payload_type
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.topics.topic_set import unknown_topic
from pubsub_publisher.topics.topic_state import BATCH_BYTES, BATCH_EVENTS, TopicState

_STOPPED: Final = "this publisher was stopped before the events could leave"

Item = bytes | tuple[str, bytes]


def send_all(
    event_socket: EventSocket, items: Iterable[Item], default: TopicState | None
) -> int:
    """Send ``items``: payloads on the topic ``default``, or pairs of topic and payload.
    Returns how many, when all have left.

    Raises:
        ConfigError: an item is neither, or of a topic that is not ours. Those before it
            have left.
        PubSubError: the event socket was closed, or stopped while it waited for room.
    """
    used: dict[TopicState, None] = {}
    if default is not None:
        used[default] = None
    try:
        if default is not None and isinstance(items, list | tuple):
            count = _send_list(event_socket, items, default, used)
        else:
            count = _send_each(event_socket, items, default, used)
    except BaseException:
        for topic in used:
            event_socket.flush(topic)
        raise
    if [topic for topic in used if not event_socket.flush(topic)]:
        raise PubSubError(_STOPPED)
    return count


def _send_list(
    event_socket: EventSocket,
    items: Sequence[Item],
    topic: TopicState,
    used: dict[TopicState, None],
) -> int:
    for begin in range(0, len(items), BATCH_EVENTS):
        chunk = items[begin : begin + BATCH_EVENTS]
        payloads = [item for item in chunk if type(item) is bytes]
        if len(payloads) < len(chunk) or sum(map(len, payloads)) > BATCH_BYTES:
            _send_each(event_socket, chunk, topic, used)
        elif not event_socket.send_batch(topic, payloads):
            raise PubSubError(_STOPPED)
    return len(items)


def _send_each(
    event_socket: EventSocket,
    items: Iterable[Item],
    default: TopicState | None,
    used: dict[TopicState, None],
) -> int:
    add = event_socket.add_to_batch
    count = 0
    for item in items:
        if type(item) is bytes and default is not None:
            topic, payload = default, item
        else:
            topic, payload = topic_and_payload(event_socket, item)
            used[topic] = None
        if not add(topic, payload, BATCH_EVENTS, BATCH_BYTES):
            raise PubSubError(_STOPPED)
        count += 1
    return count


def topic_and_payload(
    event_socket: EventSocket, item: Item
) -> tuple[TopicState, bytes]:
    """The topic and the payload of an item that names its topic.

    Raises:
        ConfigError: it does not, or not rightly.
    """
    if not isinstance(item, tuple) or len(item) != 2:
        raise ConfigError(
            "an event is a payload (bytes) where the topic is clear, else a pair "
            f"of topic and payload; not {item!r:.60}"
        )
    name, payload = item
    if not isinstance(payload, bytes):
        raise wrong_payload_type(payload)
    topic = event_socket.topics.get(name)
    if topic is None:
        raise unknown_topic(name, event_socket.topics)
    return topic, payload
