"""Receiving batches: as single events, and whole."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support.connected_subscribers import become_ready
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.sequence import Gap
from pubsub_common.testing import wait_for
from pubsub_subscriber import Subscriber

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]


def publish_batch(
    publisher: RawPublisher, first: int, payloads: list[bytes], topic: str = "A"
) -> None:
    stamps_ns = [time.time_ns() + number for number in range(len(payloads))]
    publisher.socket.send(
        batch_prefix(topic)
        + encode_batch_body(
            publisher.address, publisher.session, first, stamps_ns, payloads
        )
    )
    publisher.next_sequence[topic] = first + len(payloads)


@pytest.fixture
def publisher(broker: FakeBroker, new_publisher: NewPublisher) -> RawPublisher:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    return publisher


def connect(
    publisher: RawPublisher, new: NewSubscriber, **options: object
) -> Subscriber:
    """A subscriber that misses nothing from here on."""
    subscriber = new(*publisher.topics, **options)
    become_ready(subscriber, publisher)
    return subscriber


def test_iteration_gives_the_events_of_a_batch(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber, max_event_count=5)
    publisher.publish("A", b"0")
    publish_batch(publisher, 1, [b"1", b"2", b"3"])
    publisher.publish("A", b"4")

    events = list(subscriber)

    assert [event.payload for event in events] == [b"0", b"1", b"2", b"3", b"4"]
    assert [event.sequence for event in events] == [0, 1, 2, 3, 4]
    assert {event.topic for event in events} == {"A"}
    assert all(event.received_ns > 0 for event in events)
    assert subscriber.event_count == 5
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (5, 0, 0)


def test_batches_stay_together_and_single_events_come_alone(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber, max_event_count=5)
    publisher.publish("A", b"0")
    publish_batch(publisher, 1, [b"1", b"2", b"3"])
    publisher.publish("A", b"4")

    found = list(subscriber.batches())

    assert [batch.payloads for batch in found] == [[b"0"], [b"1", b"2", b"3"], [b"4"]]
    assert [batch.sequence for batch in found] == [0, 1, 4]
    assert subscriber.event_count == 5
    assert subscriber.counts().received == 5


def test_no_more_events_than_asked_for_are_delivered(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber, max_event_count=4)
    publish_batch(publisher, 0, [b"0", b"1", b"2"])
    publish_batch(publisher, 3, [b"3", b"4", b"5"])

    found = list(subscriber.batches())

    assert [batch.payloads for batch in found] == [[b"0", b"1", b"2"], [b"3"]]
    assert subscriber.event_count == 4
    assert subscriber.counts().received == 4


def test_all_methods_of_receiving_can_be_mixed(
    broker: FakeBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    publisher = new_publisher("A", "B")
    broker.publishers = [publisher.info]
    subscriber = connect(publisher, new_subscriber, indefinite=True)
    publish_batch(publisher, 0, [b"0", b"1", b"2", b"3", b"4", b"5"])
    publisher.publish("B", b"b")
    publisher.publish("A", b"6")

    first = next(iter(subscriber))
    other = None
    while other is None:
        other = subscriber.parse_publish_event("B")
    second = subscriber.receive(30)
    rest = []
    for batch in subscriber.batches():
        rest += batch.payloads
        if rest[-1] == b"6":
            break

    assert (first.payload, other.payload) == (b"0", b"b")
    assert second is not None
    assert second.payload == b"1"
    assert rest == [b"2", b"3", b"4", b"5", b"6"]
    assert subscriber.event_count == 8


def test_a_loop_that_is_left_loses_nothing(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber, max_event_count=100)
    for number in range(100):
        publisher.publish("A", b"%d" % number)
    wait_for(lambda: publisher.next_sequence["A"] == 100, "the events")
    found: list[bytes] = []
    while len(found) < 100:
        for event in subscriber:
            found.append(event.payload)
            assert subscriber.event_count == len(found)
            assert subscriber.counts().received == len(found)
            if len(found) % 7 == 0:
                break

    assert found == [b"%d" % number for number in range(100)]


def test_losses_and_duplicates_in_batches_are_found(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    gaps: list[Gap] = []
    subscriber = connect(
        publisher, new_subscriber, max_event_count=6, on_gap=gaps.append
    )
    publish_batch(publisher, 0, [b"0", b"1"])
    publish_batch(publisher, 5, [b"5", b"6"])  # 2 to 4 are missing
    publish_batch(publisher, 6, [b"6", b"7", b"8"])  # 6 comes twice

    events = list(subscriber)

    assert [event.sequence for event in events] == [0, 1, 5, 6, 7, 8]
    assert gaps == [Gap(publisher.session, "A", 2, 4)]
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (6, 3, 1)


def test_a_gap_is_reported_when_all_events_before_it_are_delivered(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    told: list[object] = []
    subscriber = connect(
        publisher,
        new_subscriber,
        max_event_count=12,
        on_gap=lambda gap: told.append((gap.first, gap.last)),
    )
    for number in [*range(10), 15, 16]:
        publisher.publish("A", sequence=number)

    for event in subscriber:
        told.append(event.sequence)

    assert told == [*range(10), (10, 14), 15, 16]


# With seven elements, the fifth and sixth empty.
EMPTY = b"\xa1p\x00\x00\x00\x90\x90\xc0"


@pytest.mark.parametrize(
    "body",
    [b"\x96", b"\x96\x90", b"\x96\x01\x02\x03\x04\x05\x06", b"\x97" + EMPTY],
)
def test_a_broken_batch_is_counted_and_the_next_one_read(
    publisher: RawPublisher, new_subscriber: NewSubscriber, body: bytes
) -> None:
    subscriber = connect(publisher, new_subscriber, max_event_count=2)
    publisher.socket.send(b"A\0\2" + body)
    publish_batch(publisher, 0, [b"0", b"1"])

    assert [event.payload for event in subscriber] == [b"0", b"1"]
    assert subscriber.malformed_count == 1


def test_without_waiting_it_sees_what_has_arrived_since(
    publisher: RawPublisher, new_subscriber: NewSubscriber
) -> None:
    subscriber = connect(publisher, new_subscriber, indefinite=True)
    for number in range(3):
        assert subscriber.receive(0) is None
        publisher.publish("A", b"%d" % number)
        found: list[bytes] = []

        def look(found: list[bytes] = found) -> bool:
            event = subscriber.receive(0)
            if event is not None:
                found.append(event.payload)
            return bool(found)

        wait_for(look, "the event")
        assert found == [b"%d" % number]


def test_an_exception_while_it_waits_loses_nothing(
    publisher: RawPublisher,
    new_subscriber: NewSubscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subscriber = connect(publisher, new_subscriber, indefinite=True)
    poller = subscriber._runtime.receiver._turns.poller
    look = poller.look

    def interrupted_look(batches: bool) -> bool:
        publisher.publish("A", b"0")  # only now, so that it waits
        while not look(batches):
            pass
        raise KeyboardInterrupt

    def interrupted_poll(_timeout_ms: float | None, batches: bool) -> None:
        interrupted_look(batches)

    # A subscriber that knows that its sockets are empty does not look before it waits.
    monkeypatch.setattr(poller, "look", interrupted_look)
    monkeypatch.setattr(poller, "poll", interrupted_poll)
    with pytest.raises(KeyboardInterrupt):
        subscriber.receive()
    monkeypatch.undo()

    event = subscriber.receive(30)
    assert event is not None
    assert event.payload == b"0"
    assert subscriber.event_count == 1
