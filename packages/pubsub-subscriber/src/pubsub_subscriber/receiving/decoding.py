"""Decodes one frame at a time, off the fast path."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import BATCH_MARK, Batch, decode_batch_body
from pubsub_common.protocol.events import (
    EVENT_MARK,
    Event,
    check_publisher,
    decode_any_body,
    decode_body,
    decode_viewed_body,
)
from pubsub_common.protocol.sequence import StreamTracker
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.subscribed_topics import SubscribedTopics

# The errors of `decode_body` for other bytes than an event.
MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError)
# Longer than any topic with its three bytes, and than the topics of requests.
_TOPIC_BYTES: Final = 512


def decode_item(
    frame: bytes | memoryview,
    core: SubscriberCore,
    *,
    views: bool = False,
) -> Event | Batch | None:
    """The event or the batch in a frame of a subscribed topic; None for any other frame.
    With ``views`` payloads are views of it."""
    begin = _begin(frame)
    body = memoryview(frame)[len(begin) - 1 :]
    if begin not in core.topics.by_event:
        return decode_other(begin, body, core.topics, views=views)
    try:
        item = decode_viewed_body(body) if views else decode_body(body)
    except MALFORMED:
        return None
    item.topic = core.topics.by_event[begin]
    return item


def is_subscribed(frame: memoryview, core: SubscriberCore) -> bool:
    """Whether an event or a batch is of a subscribed topic."""
    topic = _begin(frame)[: -len(EVENT_MARK)]
    return topic + EVENT_MARK in core.topics.by_event


def decode_other(
    begin: bytes,
    body: memoryview,
    topics: SubscribedTopics,
    *,
    views: bool = False,
) -> Event | Batch | None:
    """A batch, or an event in another form than ours, for example with further elements; None
    for any other frame. ``begin`` is everything before the array's first byte, with which
    ``body`` begins."""
    topic = topics.by_batch.get(begin)
    item: Event | Batch
    try:
        if topic is not None:
            item = decode_batch_body(body, views=views)
        elif (topic := topics.by_event.get(begin[:-1] + EVENT_MARK[-1:])) is not None:
            item = decode_any_body(body)
        elif (topic := topics.by_batch.get(begin[:-1] + BATCH_MARK[-1:])) is not None:
            item = decode_batch_body(body)
        else:
            return None
    except ProtocolError:
        return None
    item.topic = topic
    return item


def _begin(frame: bytes | memoryview) -> bytes:
    """Everything before the array's first byte, and that byte."""
    head = bytes(frame[:_TOPIC_BYTES])
    return head[: head.find(b"\0") + 3]


def is_named(tracker: StreamTracker, publisher: str) -> bool:
    """Whether events of a known stream may have this name of their publisher."""
    if publisher != tracker.publisher:
        try:
            check_publisher(publisher)
        except ProtocolError:
            return False
        tracker.publisher = publisher
    return True


def end_of(item: Event | Batch) -> int:
    """The number of the next event."""
    return item.sequence + (len(item) if isinstance(item, Batch) else 1)


def tracker_of(item: Event | Batch, core: SubscriberCore) -> StreamTracker | None:
    """The tracker of its stream, if the stream is known."""
    return core.trackers.get((item.session, item.topic))


def usual_tracker(
    item: Event | Batch, core: SubscriberCore, only: int | None
) -> StreamTracker | None:
    """The tracker of its stream, if this is the next item of a known stream; ``only`` the one
    of this session is expected at its socket, unless that is None."""
    if only is not None and item.session != only:
        return None
    tracker = tracker_of(item, core)
    if tracker is None or tracker.expected != item.sequence:
        return None
    return tracker if is_named(tracker, item.publisher) else None


def append(item: Event | Batch, incoming: list[Any], *, whole: bool) -> None:
    """Append an item, or with ``whole`` False the events of a batch."""
    if whole or isinstance(item, Event):
        incoming.append(item)
    else:
        incoming.extend(item.events())


def finish(frame: bytes, incoming: list[Any], core: SubscriberCore) -> bool:
    """Whether the events of a frame are the last ones in ``incoming``; then count them, if
    they are not counted yet."""
    item = decode_item(frame, core) if incoming else None
    if item is None:
        return False
    last, tracker = incoming[-1], tracker_of(item, core)
    same_stream = (last.session, last.topic) == (item.session, item.topic)
    if tracker is None or not same_stream or end_of(last) != end_of(item):
        return False
    tracker.expected = end_of(item)
    return True
