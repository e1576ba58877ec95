"""The name that a publisher gives itself in its events."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.connected_subscribers import become_ready
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import encode_event
from pubsub_subscriber import Subscriber

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]

WAIT_S = 60
LARGE = bytes(200_000)

BAD = [
    "",
    "p" * 65,
    "p" * 70_000,
    "10.0.0.9:1\nA 10.0.0.9:1 5 us forged",
    "\x1b[31mred",
    "a b",
    "x\u202e",
    "x\u2028y",
    "10.0.0.\u0661:1",
    "=1+1|cmd",
    "+1",
    "-1",
    "@x",
]


@pytest.fixture
def publisher(broker: FakeBroker, new_publisher: NewPublisher) -> RawPublisher:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    return publisher


def connect(publisher: RawPublisher, new: NewSubscriber) -> Subscriber:
    """A subscriber that misses nothing from here on."""
    subscriber = new("A", indefinite=True)
    become_ready(subscriber, publisher)
    return subscriber


def send(
    publisher: RawPublisher, name: str, sequence: int, payload: bytes = b""
) -> None:
    publisher.socket.send(
        encode_event("A", name, publisher.session, sequence, 0, payload)
    )


@pytest.mark.parametrize("name", BAD, ids=ascii)
@pytest.mark.parametrize("before", [0, 1, 5])
def test_an_event_with_a_bad_name_is_malformed(
    publisher: RawPublisher, new_subscriber: NewSubscriber, before: int, name: str
) -> None:
    subscriber = connect(publisher, new_subscriber)
    for number in range(before):
        send(publisher, "10.0.0.1:5556", number)
    send(publisher, name, before)
    send(publisher, "10.0.0.1:5556", before + 1, b"end")

    events = [subscriber.receive(WAIT_S) for _ in range(before + 1)]

    assert [event and event.publisher for event in events] == ["10.0.0.1:5556"] * (
        before + 1
    )
    assert subscriber.malformed_count == 1
    assert subscriber.counts().lost == 1


@pytest.mark.parametrize("name", ["10.0.0.1:1\n", "p" * 65])
def test_a_batch_with_a_bad_name_is_malformed(
    publisher: RawPublisher, new_subscriber: NewSubscriber, name: str
) -> None:
    subscriber = connect(publisher, new_subscriber)
    send(publisher, "p:1", 0)
    body = encode_batch_body(name, publisher.session, 1, [0, 0], [b"", b""])
    publisher.socket.send(batch_prefix("A") + body)
    send(publisher, "p:1", 3, b"end")

    events = [subscriber.receive(WAIT_S) for _ in range(2)]

    assert [event and event.payload for event in events] == [b"", b"end"]
    assert subscriber.malformed_count == 1
    assert subscriber.counts().lost == 2


def test_a_large_event_with_a_bad_name_is_malformed(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber)
    for number in range(4):
        send(publisher, "p:1", number, LARGE)
    send(publisher, "p:1\n", 4, LARGE)
    send(publisher, "p:1", 5, b"end")

    events = [subscriber.receive(WAIT_S) for _ in range(5)]

    assert [event and event.publisher for event in events] == ["p:1"] * 5
    assert subscriber.malformed_count == 1


def test_a_publisher_may_get_another_address(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber)
    names = ["10.0.0.1:1", "10.0.0.1:1", "host.name_1:2", "[fe80::1%eth0]:3", "q"]
    for number, name in enumerate(names):
        send(publisher, name, number)

    events = [subscriber.receive(WAIT_S) for _ in names]

    assert [event and event.publisher for event in events] == names
    assert subscriber.malformed_count == 0
    assert subscriber.counts().lost == 0
