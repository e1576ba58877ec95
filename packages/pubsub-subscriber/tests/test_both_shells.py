"""What a subscriber does, in both shells: for threads and for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.connected_subscribers import BOTH_MODELS, connect
from support.fake_broker import FakeBroker
from support.in_event_loop import InEventLoop
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.messages import Model, PublisherInfo, Register
from pubsub_common.protocol.sequence import Gap
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber, aio

NewSubscriber = Callable[..., Any]
NewPublisher = Callable[..., RawPublisher]


@pytest.fixture(params=["threads", "asyncio"])
def new(request: pytest.FixtureRequest, broker: FakeBroker) -> Iterator[NewSubscriber]:
    """Makes connected subscribers of either shell, and disconnects them after the test."""
    with contextlib.ExitStack() as stack:

        def make(*topics: str, **options: Any) -> Any:
            options = {
                "topics": topics or ("A",),
                "broker_port": broker.port,
                "attach_timeout_s": 0,
                **options,
            }
            if request.param == "threads":
                return stack.enter_context(Subscriber(**options))
            made = InEventLoop(lambda: aio.Subscriber(**options))
            return stack.enter_context(made)

        yield make


def numbers(events: Any) -> list[int]:
    return [event.sequence for event in events]


@BOTH_MODELS
def test_events_arrive_by_receive_and_by_iteration(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher, model: Model
) -> None:
    publisher = new_publisher("A")
    subscriber: Any = connect(broker, model, publisher, new, max_event_count=5)
    for number in range(6):
        publisher.publish("A", b"%d" % number)

    first = subscriber.receive(WAIT_S)

    assert (first.topic, first.payload) == ("A", b"0")
    assert first.received_ns >= first.published_ns
    assert numbers(subscriber) == [1, 2, 3, 4]
    assert subscriber.receive() is None, "that were all"
    assert subscriber.event_count == 5
    assert subscriber.centralized is (model == "centralized")


def test_without_a_limit_iteration_goes_on_until_stop(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber: Any = connect(broker, "decentralized", publisher, new)
    received: list[int] = []

    def receive() -> None:
        for event in subscriber:
            received.append(event.sequence)

    thread = in_thread(receive)
    for _ in range(40):
        publisher.publish("A")
    wait_for(lambda: len(received) == 40, "all events")
    subscriber.stop()

    assert ended(thread)
    assert received == list(range(40))


def test_notify_ends_after_15_unless_told_otherwise_and_says_so(
    broker: FakeBroker,
    new: NewSubscriber,
    new_publisher: NewPublisher,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A")
    seen: list[int] = []
    file = tmp_path / "f.csv"
    subscriber: Any = connect(
        broker,
        "decentralized",
        publisher,
        new,
        filename=str(file),
        on_event=lambda event: seen.append(event.sequence),
    )
    for _ in range(17):
        publisher.publish("A")

    subscriber.notify()

    assert seen == list(range(15))
    assert len(file.read_text().splitlines()) == 1 + 15
    assert "notify ended after 15 events" in caplog.text
    assert subscriber.latencies.count == 15
    assert numbers([subscriber.receive(WAIT_S) for _ in range(2)]) == [15, 16]


def test_batches_come_whole(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber: Any = connect(
        broker, "decentralized", publisher, new, max_event_count=4
    )
    publisher.publish("A")
    body = encode_batch_body("p", publisher.session, 1, [1, 2, 3], [b"a", b"b", b"c"])
    publisher.socket.send(batch_prefix("A") + body)

    assert [len(batch) for batch in subscriber.batches()] == [1, 3]


def test_parse_publish_event_picks_by_topic_without_waiting(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")
    subscriber: Any = connect(broker, "decentralized", publisher, new, "A", "B")
    assert subscriber.parse_publish_event() is None
    publisher.publish("A")
    publisher.publish("B")
    found: list[Any] = []

    def find() -> bool:
        event = subscriber.parse_publish_event("B")
        found.extend([] if event is None else [event])
        return bool(found)

    wait_for(find, "the event of B")
    assert found[0].topic == "B"
    assert subscriber.receive(WAIT_S).topic == "A"


def test_losses_are_counted_and_told(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    gaps: list[Gap] = []
    subscriber: Any = connect(
        broker, "decentralized", publisher, new, on_gap=gaps.append
    )
    publisher.publish("A", sequence=0)
    publisher.publish("A", sequence=3)
    publisher.publish("A", sequence=3)

    events = [subscriber.receive(WAIT_S) for _ in range(2)]

    assert numbers(events) == [0, 3]
    assert gaps == [Gap(publisher.session, "A", 1, 2)]
    wait_for(
        lambda: subscriber.receive(0) or subscriber.counts().duplicated, "the other 3"
    )
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (2, 2, 1)


def test_what_is_missing_is_recovered_or_given_up(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    gaps: list[Gap] = []
    options = {"recover": True, "recover_timeout_s": 0.2, "on_gap": gaps.append}
    subscriber: Any = connect(broker, "decentralized", publisher, new, **options)
    publisher.publish("A", sequence=0)
    publisher.publish("A", sequence=2)

    events = [subscriber.receive(WAIT_S) for _ in range(2)]

    assert numbers(events) == [0, 2]
    assert gaps == [Gap(publisher.session, "A", 1, 1)]


def test_readiness_is_waited_for(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new("A")
    with pytest.raises(NotReady, match="1 replies are missing"):
        subscriber.wait_until_ready(0.01)

    publisher.get_ready()

    subscriber.wait_until_ready(WAIT_S)


def test_publishers_that_come_and_go_are_told(
    broker: FakeBroker, new: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    told: list[tuple[int, bool]] = []

    def on_publisher(info: PublisherInfo, joined: bool) -> None:
        told.append((info.session, joined))

    new("A", on_publisher=on_publisher)
    broker.tell(joined=[publisher.info])
    broker.tell(left=[publisher.departure])

    wait_for(lambda: len(told) == 2, "both")
    assert told == [(1, True), (1, False)]


def test_the_end_is_told_to_the_broker_once(
    broker: FakeBroker, new: NewSubscriber
) -> None:
    subscriber = new("A")
    subscriber.disconnect()
    subscriber.disconnect()

    for use in (subscriber.receive, subscriber.wait_until_ready, subscriber.notify):
        with pytest.raises(PubSubError, match="was disconnected; make a new one"):
            use()
    assert len(broker.of(Register)) == len(broker.farewells()) == 1
    assert subscriber.counts().received == 0


def test_both_have_the_same_methods() -> None:
    """But those that make a class of threads or of asyncio what it is."""

    def public(shell: type) -> set[str]:
        return {name for name in dir(shell) if not name.startswith("_")}

    assert public(Subscriber) == public(aio.Subscriber)
