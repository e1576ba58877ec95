"""A payload that is larger than the limit."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.raw_sockets import RawSubscriber

from pubsub_common.errors import ConfigError
from pubsub_publisher import Publisher
from pubsub_publisher.sending.event_socket import _STREAK

LIMIT = 1000

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]


def _pairs(*payloads: bytes) -> Iterator[tuple[str, bytes]]:
    return (("A", payload) for payload in payloads)


WAYS: dict[str, Callable[[Publisher, Any], object]] = {
    "one": lambda publisher, large: publisher.publish_event("A", large),
    "text": lambda publisher, large: publisher.publish_event("A", large.decode()),
    "other buffers": lambda publisher, large: publisher.publish_event(
        "A", bytearray(large)
    ),
    "list": lambda publisher, large: publisher.publish_events([b"x", large], "A"),
    "list of buffers": lambda publisher, large: publisher.publish_events(
        [b"x", bytearray(large)], "A"
    ),
    "iterator": lambda publisher, large: publisher.publish_events(
        iter([b"x", large]), "A"
    ),
    "pairs": lambda publisher, large: publisher.publish_events(_pairs(b"x", large)),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_refused_with_the_name_of_the_option(
    new_publisher: NewPublisher, subscribe: Subscribe, way: str
) -> None:
    publisher = new_publisher("A", max_payload_bytes=LIMIT)
    subscriber = subscribe(publisher, "A", session=5)
    subscriber.next_answer()

    with pytest.raises(ConfigError, match=r"1001 bytes.*max_payload_bytes.*1000"):
        WAYS[way](publisher, b"." * (LIMIT + 1))
    publisher.publish_event("A", b"." * LIMIT)

    several = way in ("list", "list of buffers", "iterator", "pairs")
    events = subscriber.events(1 + several)
    assert [event.sequence for event in events] == list(range(1 + several))
    assert len(events[-1].payload) == LIMIT


def test_it_is_refused_in_the_midst_of_a_stream_that_is_batched(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", max_payload_bytes=LIMIT)
    subscriber = subscribe(publisher, "A", session=5)
    subscriber.next_answer()
    for _ in range(4 * _STREAK):
        publisher.publish_event("A", b"small")

    for _ in range(4 * _STREAK):
        with pytest.raises(ConfigError, match="max_payload_bytes"):
            publisher.publish_event("A", b"." * (LIMIT + 1))
        publisher.publish_event("A", b"small")

    events = subscriber.events(8 * _STREAK)
    assert [event.sequence for event in events] == list(range(8 * _STREAK))
    assert {event.payload for event in events} == {b"small"}


def test_it_is_refused_before_it_is_copied(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")
    size = 2**40  # more than there is memory for
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # without a reserve
    with (
        mmap.mmap(-1, size, flags=flags) as memory,
        memoryview(memory) as view,
        pytest.raises(ConfigError, match="too large"),
    ):
        publisher.publish_event("A", view)


def test_generated_payloads_are_not_larger() -> None:
    with pytest.raises(ConfigError, match=r"payload_bytes must be in 0\.\.1000"):
        Publisher(topics=["A"], max_payload_bytes=LIMIT, payload_bytes=LIMIT + 1)
