"""Publishing many events at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from support.fake_broker import FakeBroker
from support.raw_sockets import RawSubscriber

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.batches import Batch, decode_batch_body, is_batch
from pubsub_common.protocol.events import decode_event
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher
from pubsub_publisher.topics.topic_state import BATCH_BYTES, BATCH_EVENTS

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]


def batches(subscriber: RawSubscriber, count: int) -> list[Batch]:
    """The batches that hold the next ``count`` events."""
    found: list[Batch] = []
    while sum(map(len, found)) < count:
        frame = subscriber.socket.recv()
        topic, _, body = frame.partition(b"\0")
        if is_batch(frame, len(topic)):
            batch = decode_batch_body(body[1:])
            batch.topic = topic.decode()
        else:
            batch = Batch.of(decode_event(frame))
        found.append(batch)
    return found


def ready(publisher: Publisher, subscribe: Subscribe, *topics: str) -> RawSubscriber:
    """A subscriber that misses nothing from here on."""
    subscriber = subscribe(publisher, *topics, session=5)
    for _ in topics:
        subscriber.next_answer()
    return subscriber


def test_a_list_travels_in_few_messages(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", clock="monotonic")
    subscriber = ready(publisher, subscribe, "A")
    payloads = [b"%d" % number for number in range(1000)]

    assert publisher.publish_events(payloads) == 1000

    found = batches(subscriber, 1000)
    events = [event for batch in found for event in batch]
    assert len(found) == -(-1000 // BATCH_EVENTS)
    assert [event.payload for event in events] == payloads
    assert [event.sequence for event in events] == list(range(1000))
    assert {event.session for event in events} == {publisher.session}
    stamps = [event.published_ns for event in events]
    assert stamps == sorted(stamps)


def test_an_iterator_travels_in_batches_too(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A")
    subscriber = ready(publisher, subscribe, "A")

    assert publisher.publish_events(b"%d" % number for number in range(300)) == 300

    events = [event for batch in batches(subscriber, 300) for event in batch]
    assert [event.payload for event in events] == [b"%d" % n for n in range(300)]
    assert [event.sequence for event in events] == list(range(300))


def test_each_event_goes_to_its_topic(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B")
    subscriber = ready(publisher, subscribe, "A", "B")
    pairs = [("A" if number % 3 else "B", b"%d" % number) for number in range(60)]

    assert publisher.publish_events(pairs) == 60

    events = [event for batch in batches(subscriber, 60) for event in batch]
    for topic in "AB":
        assert [(e.topic, e.payload) for e in events if e.topic == topic] == [
            pair for pair in pairs if pair[0] == topic
        ]
        assert [e.sequence for e in events if e.topic == topic] == list(
            range(sum(pair[0] == topic for pair in pairs))
        )


@pytest.mark.parametrize("kind", [list, iter])
def test_large_events_make_small_batches(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    kind: Callable[[list[bytes]], Iterable[bytes]],
) -> None:
    publisher = new_publisher("A")
    subscriber = ready(publisher, subscribe, "A")
    payloads = [bytes(BATCH_BYTES // 3)] * 100

    publisher.publish_events(kind(payloads), topic="A")

    found = batches(subscriber, 100)
    assert max(map(len, found)) <= 3
    assert [event.payload for batch in found for event in batch] == payloads


def test_an_event_waits_for_a_slow_iterable_no_longer_than_the_linger_time(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A")
    subscriber = ready(publisher, subscribe, "A")
    arrived = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"first"
        # Only when the first one has arrived is there a second.
        assert arrived.wait(WAIT_S)
        yield b"second"

    thread = threading.Thread(target=publisher.publish_events, args=(slow(),))
    thread.start()
    [first] = batches(subscriber, 1)
    arrived.set()
    [second] = batches(subscriber, 1)
    thread.join(WAIT_S)

    assert [first.payloads, second.payloads] == [[b"first"], [b"second"]]
    assert [first.sequence, second.sequence] == [0, 1]


def test_single_events_and_batches_share_their_numbers(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A")
    subscriber = ready(publisher, subscribe, "A")

    publisher.publish_event("A", b"0")
    publisher.publish_events([b"1", b"2"])
    publisher.publish_event("A", b"3")

    assert subscriber.next_event().sequence == 0
    found = batches(subscriber, 2)
    assert found[0].sequence == 1
    assert [each for batch in found for each in batch.payloads] == [b"1", b"2"]
    assert subscriber.next_event().sequence == 3


def test_batches_from_several_threads_have_no_gap_and_no_number_twice(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", overflow="block")
    subscriber = ready(publisher, subscribe, "A")
    threads = [
        threading.Thread(
            target=publisher.publish_events,
            args=([b"%d" % name] * 500 if name % 2 else iter([b"%d" % name] * 500),),
        )
        for name in range(4)
    ]
    for thread in threads:
        thread.start()
    found = batches(subscriber, 2000)
    for thread in threads:
        thread.join(WAIT_S)

    events = [event for batch in found for event in batch]
    assert [event.sequence for event in events] == list(range(2000))
    assert {e.payload: 0 for e in events} == {b"%d" % name: 0 for name in range(4)}


@pytest.mark.parametrize(
    ("events", "topic", "said"),
    [
        (
            [b"ok", 7],
            None,
            r"an event is a payload or a pair \(topic, payload\), not 7",
        ),
        ([b"ok", ("A", 7)], None, "the payload is bytes or text, not int"),
        ([b"ok", (7, b"x")], None, "a topic is text, not int"),
        ([b"ok", ("B", b"x")], None, "'B' is not one of this publisher's topics: A"),
        ([b"ok", ("A", b"x", 1)], None, "an event is a payload"),
        ([b"ok"], "B", "'B' is not one of this publisher's topics: A"),
    ],
)
def test_an_event_that_cannot_be_is_refused_and_those_before_it_have_left(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    events: list[Any],
    topic: str | None,
    said: str,
) -> None:
    publisher = new_publisher("A", declared_only=True)
    subscriber = ready(publisher, subscribe, "A")

    with pytest.raises(ConfigError, match=said):
        publisher.publish_events(events, topic=topic)

    if topic is None:
        [batch] = batches(subscriber, 1)
        assert batch.payloads == [b"ok"]


def test_payloads_alone_need_a_topic_where_there_are_several(
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher("A", "B")

    with pytest.raises(ConfigError, match="has 2 topics, so name one") as raised:
        publisher.publish_events([b"x"])
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("payload", ["text", b"bytes", bytearray(b"x")])
def test_one_payload_is_not_many_events(
    new_publisher: NewPublisher, payload: Any
) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match="use publish_event for one"):
        publisher.publish_events(payload)


@pytest.mark.parametrize(
    "pair", [("A", b"x"), ("other", bytearray(b"x")), ("A", "text")]
)
def test_one_pair_is_not_many_events(new_publisher: NewPublisher, pair: Any) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match="looks like one pair of topic and payload"):
        publisher.publish_events(pair)


def test_two_texts_in_a_tuple_are_two_events(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")

    assert publisher.publish_events(("sunny", "rainy")) == 2
    assert publisher.publish_events(("sunny", ("A", b"rainy"))) == 2
    assert publisher.publish_events((b"sunny", "rainy")) == 2


def test_text_is_sent_as_utf8(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A")
    subscriber = ready(publisher, subscribe, "A")

    publisher.publish_events(["ä", ("A", "b")])

    found = batches(subscriber, 2)  # two, if the control thread comes in between
    assert [each for batch in found for each in batch.payloads] == ["ä".encode(), b"b"]


def test_topics_that_are_not_declared_are_added(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")

    assert publisher.publish_events([("A", b"1"), ("B", b"2"), ("B", b"3")]) == 3
    assert publisher.publish_events([b"4"], "C") == 1

    assert broker.of(Register)[-1].topics == ["A", "B", "C"]
    publisher.disconnect()
    assert broker.farewells()[0].next_sequences == {"A": 1, "B": 2, "C": 1}


def test_a_publisher_that_left_says_how_far_its_batches_went(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    publisher.publish_events([b"x"] * 7)

    publisher.disconnect()

    [farewell] = broker.farewells()
    assert farewell.next_sequences == {"A": 7}
    with pytest.raises(PubSubError, match="was disconnected"):
        publisher.publish_events([b"x"])


def test_stop_ends_a_batch_that_waits_for_room(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", overflow="block", queue_limit=1)
    subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    errors: list[PubSubError] = []

    def publish() -> None:
        try:
            publisher.publish_events([bytes(50_000)] * 2000)
        except PubSubError as error:
            errors.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    # It is stuck when its numbers do not grow any more.
    seen = -1
    while publisher._runtime.topics.states["A"].next_sequence != seen:
        seen = publisher._runtime.topics.states["A"].next_sequence
        thread.join(0.3)
    publisher.stop()
    wait_for(lambda: not thread.is_alive(), "the end of publishing")

    assert "before the events could leave" in str(errors[0])
