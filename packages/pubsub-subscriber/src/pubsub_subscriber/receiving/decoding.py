"""Decodes one frame at a time, where speed does not count."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.batches import Batch, decode_batch_body
from pubsub_common.protocol.events import Event, check_publisher, decode_body
from pubsub_common.protocol.sequence import StreamTracker
from pubsub_subscriber.core import SubscriberCore

# What `decode_body` raises for what is no event.
MALFORMED: Final = (msgspec.MsgspecError, UnicodeDecodeError)
# Longer than any topic with the three bytes behind it, and the topics of questions.
_TOPIC_BYTES: Final = 512


def decode_item(
    frame: bytes | memoryview, core: SubscriberCore
) -> Event | Batch | None:
    """The event or the batch that a frame of one of our topics is, if it is written as ours
    are; None for any other."""
    head = bytes(frame[:_TOPIC_BYTES])
    begin = head[: head.find(b"\0") + 3]
    body = memoryview(frame)[len(begin) - 1 :]
    try:
        if begin in core.topics.by_event:
            item = decode_body(body)
            item.topic = core.topics.by_event[begin]
        elif begin in core.topics.by_batch:
            return decode_batch(core.topics.by_batch[begin], body)
        else:
            return None
    except MALFORMED:
        return None
    return item


def decode_batch(topic: str, body: memoryview) -> Batch | None:
    """A batch of ``topic`` out of what follows that in its frame; None when it is none."""
    try:
        batch = decode_batch_body(body)
    except ProtocolError:
        return None
    batch.topic = topic
    return batch


def is_named(tracker: StreamTracker, publisher: str) -> bool:
    """Whether events of a stream that we know may have this name of their publisher."""
    if publisher != tracker.publisher:
        try:
            check_publisher(publisher)
        except ProtocolError:
            return False
        tracker.publisher = publisher
    return True


def end_of(item: Event | Batch) -> int:
    """The number of the event that follows."""
    return item.sequence + (len(item) if isinstance(item, Batch) else 1)


def tracker_of(item: Event | Batch, core: SubscriberCore) -> StreamTracker | None:
    """The tracker of its stream, if we know it."""
    return core.trackers.get((item.session, item.topic))


def finish(frame: bytes, incoming: list[Any], core: SubscriberCore) -> bool:
    """Whether the events of a frame are the last that were appended to ``incoming``; then
    have them counted, if they are not yet."""
    item = decode_item(frame, core) if incoming else None
    if item is None:
        return False
    last, tracker = incoming[-1], tracker_of(item, core)
    same_stream = (last.session, last.topic) == (item.session, item.topic)
    if tracker is None or not same_stream or end_of(last) != end_of(item):
        return False
    tracker.expected = end_of(item)
    return True
