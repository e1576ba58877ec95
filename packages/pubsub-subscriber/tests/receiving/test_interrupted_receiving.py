"""An exception that comes from outside, at any line or at any time of a receive call in the main
thread, loses no event and delivers none twice."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import zmq
from support.connected_subscribers import connect
from support.core_steps import new_performer
from support.fake_broker import FakeBroker
from support.fake_sub_socket import FakeSubSocket
from support.interrupts import Interrupted, interrupted_at
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

import pubsub_common
import pubsub_subscriber
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.batches import Batch, batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    Event,
    encode_body,
    encode_event,
    event_prefix,
)
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath

# An exception in a finalizer is only printed.
pytestmark = pytest.mark.filterwarnings("ignore")

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]
Found = list[Event | Batch]
Receive = Callable[[Subscriber, Found], object]

PACKAGES = (pubsub_subscriber, pubsub_common)
INTERRUPTS = 120


# Each receives what it is given, and keeps it: between the two, no handler runs.


def receive(subscriber: Subscriber, found: Found) -> None:
    for _ in range(3):
        event = subscriber.receive(WAIT_S)
        if event is not None:
            found.append(event)


def receive_with_timeout(subscriber: Subscriber, found: Found) -> None:
    for _ in range(3):
        event = subscriber.receive(0.0)
        if event is not None:
            found.append(event)


def iterate(subscriber: Subscriber, found: Found) -> None:
    for event in subscriber:
        found.append(event)
        if event.payload == b"last":
            break


def parse(subscriber: Subscriber, found: Found) -> None:
    for topic in (*subscriber.topics, ""):
        while True:
            event = subscriber.parse_publish_event(topic)
            if event is None:
                break
            found.append(event)


def batches(subscriber: Subscriber, found: Found) -> None:
    for batch in subscriber.batches():
        found.append(batch)
        if batch.payloads[-1] == b"last":
            break


def become_ready(subscriber: Subscriber, found: Found) -> None:
    subscriber.wait_until_ready(WAIT_S)
    receive_with_timeout(subscriber, found)


WAYS: list[Receive] = [
    receive,
    receive_with_timeout,
    iterate,
    parse,
    batches,
    become_ready,
]


def publish_some(publisher: RawPublisher, topic: str, last: bytes) -> None:
    """A single event, one with a further element, a batch of three, and a single one."""
    publisher.publish(topic, b"x")
    first = publisher.next_sequence[topic] + 1
    now_ns = time.time_ns()
    longer = (publisher.address, publisher.session, first - 1, now_ns, b"x", "more")
    publisher.socket.send(event_prefix(topic) + encode_body(longer))
    body = encode_batch_body(
        publisher.address, publisher.session, first, [now_ns] * 3, [b"x", b"y", b"z"]
    )
    publisher.socket.send(batch_prefix(topic) + body)
    publisher.next_sequence[topic] = first + 3
    publisher.publish(topic, last)


def drain(subscriber: Subscriber, found: Found, publishers: list[RawPublisher]) -> None:
    """Receive the events that were published and not received."""
    wanted = sum(sum(each.next_sequence.values()) for each in publishers)

    def look() -> bool:
        receive_with_timeout(subscriber, found)
        return subscriber.event_count >= wanted

    wait_for(look, "all events")


def expect_all_once(
    subscriber: Subscriber, found: Found, publishers: list[RawPublisher]
) -> None:
    """All that was published has been received, or is received now, in order."""
    wanted = sum(sum(each.next_sequence.values()) for each in publishers)

    def numbers() -> list[tuple[int, str, int]]:
        events = [
            event
            for item in found
            for event in (item if isinstance(item, Batch) else [item])
        ]
        return [(event.session, event.topic, event.sequence) for event in events]

    drain(subscriber, found, publishers)
    receive_with_timeout(subscriber, found)
    expected = {
        (each.session, topic, number)
        for each in publishers
        for topic, count in each.next_sequence.items()
        for number in range(count)
    }
    received = numbers()
    assert len(received) == len(expected)
    assert set(received) == expected
    for session, topic in {key[:2] for key in expected}:
        stream = [number for *key, number in received if key == [session, topic]]
        assert stream == sorted(stream)
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (wanted, 0, 0)
    assert subscriber.event_count == wanted


def two_ports(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> tuple[Subscriber, list[RawPublisher]]:
    """A subscriber with two sockets."""
    publishers = [new_publisher("A"), new_publisher("B")]
    broker.model = "centralized"
    broker.ports = {"A": publishers[0].port, "B": publishers[1].port}
    subscriber = new_subscriber("A", "B", attach_timeout_s=0)
    for publisher in publishers:
        publisher.wait_for_ready(1)
    return subscriber, publishers


@pytest.mark.parametrize("sockets", [1, 2])
@pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)
def test_at_any_line(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    way: Receive,
    sockets: int,
) -> None:
    if sockets == 1:
        publishers = [new_publisher("A")]
        subscriber = connect(broker, "decentralized", publishers[0], new_subscriber)
    else:
        subscriber, publishers = two_ports(broker, new_subscriber, new_publisher)
    found: Found = []

    for line in itertools.count(1):
        for publisher in publishers:
            publish_some(publisher, publisher.topics[0], b"last")
        if not interrupted_at(line, lambda: way(subscriber, found), *PACKAGES):
            break
        drain(subscriber, found, publishers)
    assert line > 20
    expect_all_once(subscriber, found, publishers)


@pytest.fixture
def alarms() -> Iterator[Callable[[], None]]:
    """Has an exception come in some milliseconds."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    def begin() -> None:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.01))

    before = signal.signal(signal.SIGALRM, interrupt)
    yield begin
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# An exception that comes in a finalizer is lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("paced", [False, True])
@pytest.mark.parametrize("way", WAYS[:5], ids=lambda each: each.__name__)
def test_at_any_time(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    alarms: Callable[[], None],
    way: Receive,
    paced: bool,
    recover: bool,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, recover=recover
    )
    found: Found = []
    enough = threading.Event()

    def publish() -> None:
        while not enough.is_set():
            publish_some(publisher, "A", b"last")
            behind = sum(publisher.next_sequence.values()) - subscriber.event_count
            enough.wait(0.0005 if paced or behind > 500 else 0)

    thread = in_thread(publish)
    for _ in range(INTERRUPTS):
        with contextlib.suppress(Interrupted):
            alarms()
            # Not forever: an exception that cannot be caught is only printed.
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                way(subscriber, found)
    enough.set()
    assert ended(thread)
    expect_all_once(subscriber, found, [publisher])


# A frame that was taken just before an exception


class Cut(FakeSubSocket):
    """A socket that raises after it has taken a frame."""

    def receive_into(self, buffer: memoryview, *, flags: int = 0) -> int:
        size = super().receive_into(buffer, flags=flags)
        if self.frames or size:
            raise Interrupted
        return size


def frame(number: int) -> bytes:
    return encode_event("A", "p", 7, number, 1, b"x" * number)


@pytest.mark.parametrize("waiting", [False, True])
def test_a_frame_that_no_call_returned_is_in_doubt_and_not_lost(waiting: bool) -> None:
    performer, queue = new_performer("A"), EventQueue(None, None)
    fast_path = FastPath(performer.core, queue, lambda: 5)
    for number in range(5):
        cut = cast(SubSocket, Cut(0, [frame(number)]))
        take_next = fast_path.waiting_in(cut)
        with pytest.raises(Interrupted):
            take_next(-1) if waiting else fast_path.take(cut, False)
        assert not (waiting and take_next(-1))
        assert fast_path.in_doubt

        fast_path.settle()

        assert not fast_path.in_doubt
        assert fast_path.deferred is not None
        performer.take(*fast_path.deferred, queue.incoming)
        fast_path.deferred = None
    assert [event.sequence for event in queue.incoming] == list(range(5))


def test_a_message_of_several_parts_that_was_cut_short_is_dropped_whole(
    context: zmq.Context[zmq.Socket[bytes]], new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    sub_socket = SubSocket(context, ["A"], 5, QueueBounds(1000))
    sub_socket.restrict_to(publisher.session)
    sub_socket.connect(publisher.address)
    publisher.wait_for_ready()
    performer, queue = new_performer("A"), EventQueue(None, None)
    fast_path = FastPath(performer.core, queue, lambda: 5)
    hidden = encode_event("B", "p", publisher.session, 0, 1, b"not for us")
    publisher.socket.send_multipart([frame(0), hidden, hidden])
    publisher.publish("A", b"whole")
    with sub_socket.lock:
        assert sub_socket.socket.poll(30_000)

    def drain() -> bool:
        if fast_path.in_doubt:
            fast_path.settle()
        if fast_path.deferred is not None:
            performer.take(*fast_path.deferred, queue.incoming)
            fast_path.deferred = None
        return bool(queue.incoming) or (fast_path.take(sub_socket, False) and False)

    interrupted_at(14, lambda: fast_path.take(sub_socket, False), pubsub_subscriber)
    wait_for(drain, "the event")
    sub_socket.close(0)

    assert [event.payload for event in queue.incoming] == [b"whole"]
    assert performer.core.malformed_count == 0


# Calls inside calls


def test_a_handler_inside_a_receive_call_may_not_receive(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    refused: list[str] = []

    def nested(*_: object) -> None:
        try:
            subscriber.receive(0.0)
        except PubSubError as error:
            refused.append(str(error))
            publisher.publish("A", b"x")
        else:  # it came before the call
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, nested)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        event = subscriber.receive(WAIT_S)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert event is not None
    assert refused == ["a receive call inside a receive call of this subscriber"]


def test_a_disconnect_in_another_thread_ends_a_loop(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))
    publisher.publish("A", b"x")
    wait_for(lambda: subscriber.event_count, "the event")

    subscriber.disconnect()

    assert ended(thread)
    assert len(received) == 1
    with pytest.raises(PubSubError, match="was disconnected"):
        next(iter(subscriber))
