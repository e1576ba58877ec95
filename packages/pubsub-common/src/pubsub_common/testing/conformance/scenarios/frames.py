"""Unusual frames that are valid, and frames that are not."""

from __future__ import annotations

import struct
from typing import Final

from pubsub_common.defaults import MAX_JUMP
from pubsub_common.protocol.batches import BATCH_KIND
from pubsub_common.protocol.events import EVENT_KIND, encode_body
from pubsub_common.protocol.messages import Departure
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.data_port import DataPort, Source, odd_frame
from pubsub_common.testing.conformance.ledger import Item
from pubsub_common.testing.conformance.malformed import (
    batch_array,
    event_array,
    malformed_frames_of,
)
from pubsub_common.testing.conformance.scenario import for_subscribers
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

_EVENT, _BATCH = EVENT_KIND, BATCH_KIND
# For so long at least a subscriber listens to a publisher that left.
_GRACE_S: Final = 6.0
# An array of five with each header that MessagePack has for it.
_FIVE: Final = (b"\x95", b"\xdc\0\x05", b"\xdd\0\0\0\x05")
# The bytes before the last byte of a small number in each format that is longer than needed.
_LONG_INTEGERS: Final = (
    *(b"\xcc", b"\xcd\0", b"\xce\0\0\0", b"\xcf" + bytes(7)),
    *(b"\xd0", b"\xd1\0", b"\xd2\0\0\0", b"\xd3" + bytes(7)),
)


@for_subscribers(
    "longer-arrays", page.EVENTS, "it ignores further elements of an event or a batch"
)
def longer_arrays(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    for more in (None, 7), (b"x",), ({"a": [1, 2]}, "text", 1.5):
        (item,) = _due(stage, publisher, 1)
        array = *event_array(publisher, item.sequence, item.payload), *more
        port.send(odd_frame("A", _EVENT, encode_body(array)), f"event with {more} more")
        items = _due(stage, publisher, 2)
        payloads = [item.payload for item in items]
        array = *batch_array(publisher, items[0].sequence, [0, 1], payloads), *more
        port.send(odd_frame("A", _BATCH, encode_body(array)), f"batch with {more} more")
    stage.publish(publisher, "A")
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "other-headers", page.EVENTS, "it reads each MessagePack format of array and number"
)
def other_headers(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    for header in _FIVE:
        (item,) = _due(stage, publisher, 1)
        body = encode_body(event_array(publisher, item.sequence, item.payload))
        port.send(odd_frame("A", _EVENT, header + body[1:]), f"event with {header!r}")
    for before in _LONG_INTEGERS:
        (item,) = _due(stage, publisher, 1)
        array = b"".join(
            (
                *(_FIVE[0], encode_body(publisher.address)),
                encode_body(publisher.session),
                *(before, bytes([item.sequence])),
                *(b"\xd3", struct.pack(">q", -1)),
                *(b"\xc6", struct.pack(">I", len(item.payload)), item.payload),
            )
        )
        port.send(odd_frame("A", _EVENT, array), f"event {item.sequence}, {before!r}")
    stage.publish(publisher, "A")
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "odd-stamps", page.EVENTS, "it delivers events with time stamps of every size"
)
def odd_stamps(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    for stamp_ns in (0, -1, -(2**63), 2**63 - 1, 2**64 - 1, 2**53 + 1):
        (item,) = _due(stage, publisher, 1)
        array = list(event_array(publisher, item.sequence, item.payload))
        array[3] = stamp_ns
        port.send(odd_frame("A", _EVENT, encode_body(array)), f"stamp {stamp_ns}")
    items = _due(stage, publisher, 3)
    offsets = [-(2**63), 2**64 - 1, 0]
    payloads = [item.payload for item in items]
    array = list(batch_array(publisher, items[0].sequence, offsets, payloads))
    array[3] = 2**64 - 1
    port.send(odd_frame("A", _BATCH, encode_body(array)), f"offsets {offsets}")
    stage.delivers()
    # The latencies of these are beyond what a heartbeat may tell.
    stage.goes_on("heartbeats as before")
    stage.reports_lost({})


@for_subscribers(
    "unknown-kinds", page.EVENTS, "it drops frames of a kind that it does not know"
)
def unknown_kinds(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    for kind in (0x00, 0x03, 0x04, 0x7F, 0x95, 0x96, 0xFF):
        array = encode_body(
            event_array(publisher, publisher.next("A"), b"not an event")
        )
        port.send(odd_frame("A", bytes([kind]), array), f"frame of kind {kind}")
        stage.publish(publisher, "A")
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "malformed-frames", page.EVENTS, "it drops malformed frames, and continues"
)
def malformed_frames(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    for kind, array, why in malformed_frames_of(publisher):
        port.send(odd_frame("A", kind, array), f"malformed frame: {why}")
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.goes_on("heartbeats as before")
    stage.reports_lost({})


@for_subscribers(
    "jump",
    page.SEQUENCES,
    "an impossible jump only ends its stream",
)
def jump(stage: SubscriberStage) -> None:
    publisher = stage.publisher("A", "B")
    port = stage.port_of(publisher)
    stage.join("A", "B")
    stage.ready(publisher)
    stage.publish(publisher, "A", 3)
    stage.publish(publisher, "B", 3)
    stage.delivers()
    publisher.numbers["A"] += MAX_JUMP + 1
    for item in [publisher.event("A") for _ in range(3)]:
        port.publish(publisher, item)
    stage.publish(publisher, "B", 3)
    stage.delivers()
    stage.reports_lost({})


@for_subscribers(
    "jump-at-the-end",
    page.SEQUENCES,
    "a jump in `next_sequences` is not lost events",
)
def jump_at_the_end(stage: SubscriberStage) -> None:
    publisher, port = _listening(stage)
    end = publisher.next("A") + MAX_JUMP + 1
    stage.broker.push(
        left=[Departure(session=publisher.session, next_sequences={"A": end})]
    )
    stage.until(
        lambda: not port.subscribed,
        "the end of its subscriptions at the publisher that left",
        within_s=_GRACE_S + stage.patience_s,
    )
    stage.reports_lost({})


@for_subscribers(
    "large-jump", page.SEQUENCES, "a jump within the bound is a normal gap"
)
def large_jump(stage: SubscriberStage) -> None:
    publisher, _ = _listening(stage)
    # A subscriber that recovers still expects the first missing event when more arrive.
    count = MAX_JUMP - 1000
    publisher.numbers["A"] += count
    stage.publish(publisher, "A", 3)
    stage.delivers()
    stage.reports_lost({"A": count})


def _listening(stage: SubscriberStage) -> tuple[Source, DataPort]:
    """A publisher of A; the subscriber has its first events."""
    publisher = stage.publisher("A")
    stage.join()
    stage.ready(publisher)
    stage.publish(publisher, "A", 2)
    stage.delivers()
    return publisher, stage.port_of(publisher)


def _due(stage: SubscriberStage, publisher: Source, count: int) -> list[Item]:
    """The next events, which the subscriber is to deliver."""
    items = [publisher.event("A") for _ in range(count)]
    for item in items:
        stage.ledger.must_have(item)
    return items
