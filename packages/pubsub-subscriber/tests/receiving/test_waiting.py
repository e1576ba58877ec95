"""Waiting in the socket, for a program that receives one event at a time: it leaves the
socket for any other work."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from support.connected_subscribers import BOTH_MODELS, connect
from support.fake_broker import FakeBroker
from support.raw_sockets import RawPublisher
from support.threads import ended

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import Event, encode_event
from pubsub_common.protocol.messages import Model
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber
from pubsub_subscriber.connections.interrupter import Interrupter, is_interrupt
from pubsub_subscriber.connections.sub_socket import SubSocket

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]


class Listener:
    """A thread that iterates over a subscriber, or with ``by_receive`` calls `receive` with a
    timeout, and waits in its socket."""

    def __init__(
        self, subscriber: Subscriber, publisher: RawPublisher, *, by_receive: bool
    ) -> None:
        self.events: list[Event] = []
        self.subscriber = subscriber
        self.by_receive = by_receive
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        while subscriber._runtime.receiver._turns.poller.waiting_in is None:
            self.publish(publisher)

    def publish(self, publisher: RawPublisher) -> None:
        """One event, which arrives."""
        before = len(self.events)
        publisher.publish("A", b"x")
        wait_for(lambda: len(self.events) > before, "an event")

    def _listen(self) -> None:
        subscriber = self.subscriber
        one = functools.partial(subscriber.receive, 10 * WAIT_S)
        for event in iter(one, None) if self.by_receive else subscriber:
            self.events.append(event)

    def expect_stopped(self) -> None:
        self.subscriber.stop()
        assert ended(self.thread)
        assert [event.sequence for event in self.events if event.payload == b"x"]
        assert self.subscriber.malformed_count == 0


@pytest.fixture(params=[False, True], ids=["iterating", "receiving"])
def by_receive(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["centralized", "decentralized"])
def listening(
    request: pytest.FixtureRequest,
    by_receive: bool,
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
) -> Iterator[tuple[Listener, RawPublisher]]:
    publisher = new_publisher("A")
    subscriber = connect(broker, request.param, publisher, new_subscriber)
    listener = Listener(subscriber, publisher, by_receive=by_receive)
    yield listener, publisher
    subscriber.stop()
    assert ended(listener.thread)


Listening = tuple[Listener, RawPublisher]


def test_stop_interrupts_a_wait_in_the_socket(listening: Listening) -> None:
    listener, _ = listening

    listener.expect_stopped()


# Centralized, it is the broker that connects to publishers.
@pytest.mark.parametrize("listening", ["decentralized"], indirect=True)
def test_a_publisher_that_joins_during_a_wait_is_received(
    listening: Listening, broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    listener, publisher = listening
    second = new_publisher("A")

    for _ in range(3):  # and again the waiting thread leaves the socket
        broker.tell(joined=[second.info])
        second.wait_for_ready()
        listener.publish(second)
        listener.publish(publisher)
        broker.tell(left=[second.departure])
        second = new_publisher("A")

    listener.expect_stopped()


def test_a_change_of_broker_interrupts_a_wait_in_the_socket(
    listening: Listening, broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    listener, _ = listening
    other = new_publisher("A")
    if listener.subscriber.centralized:
        broker.ports = {"A": other.port}
        broker.publishers = [other.hidden_info]
    else:
        broker.publishers = [other.info]

    broker.restart()

    other.wait_for_ready()
    listener.publish(other)
    listener.expect_stopped()


def test_what_others_do_with_the_socket_does_not_wait_for_an_event(
    listening: Listening,
) -> None:
    listener, publisher = listening
    (sub_socket,) = listener.subscriber._runtime.performer.sockets.open
    done = threading.Event()

    def work() -> None:
        for number in range(20):
            sub_socket.add([f"T{number}"])
            sub_socket.remove([f"T{number}"])
        done.set()

    threading.Thread(target=work, daemon=True).start()

    assert done.wait(WAIT_S)
    listener.publish(publisher)
    listener.expect_stopped()


def test_without_a_topic_it_does_not_wait_in_the_socket(
    listening: Listening,
) -> None:
    listener, _ = listening
    (sub_socket,) = listener.subscriber._runtime.performer.sockets.open

    sub_socket.remove(["A"])

    listener.expect_stopped()


@pytest.mark.parametrize("kind", ["batch", "large", "garbage", "gap", "other topic"])
@BOTH_MODELS
def test_an_unusual_frame_is_handled_during_a_wait_in_the_socket(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
    kind: str,
    by_receive: bool,
) -> None:
    publisher = new_publisher("A", "B")
    subscriber = connect(broker, model, publisher, new_subscriber, "A", "B")
    listener = Listener(subscriber, publisher, by_receive=by_receive)
    number = listener.events[-1].sequence + 1

    def frame(topic: str, sequence: int, payload: bytes) -> bytes:
        place = (publisher.address, publisher.session)
        return encode_event(topic, *place, sequence, 1, payload)

    stamps, payloads = [1, 2, 3], [b"p", b"q", b"r"]
    body = encode_batch_body(
        publisher.address, publisher.session, number, stamps, payloads
    )
    messages: dict[str, tuple[bytes, list[bytes], int]] = {
        "batch": (batch_prefix("A") + body, payloads, 3),
        "large": (frame("A", number, bytes(50_000)), [bytes(50_000)], 1),
        "garbage": (b"A\0\1\x95garbage", [], 0),
        "gap": (frame("A", number + 5, b"y"), [b"y"], 6),
        "other topic": (frame("B", 0, b"y"), [b"y"], 0),
    }
    message, expected, numbers = messages[kind]
    before = len(listener.events)

    publisher.socket.send(message)
    publisher.socket.send(frame("A", number + numbers, b"last"))

    wait_for(lambda: listener.events[-1].payload == b"last", "the last event")
    assert [e.payload for e in listener.events[before:-1]] == expected
    assert subscriber.malformed_count == (kind == "garbage")
    assert subscriber.counts().lost == 5 * (kind == "gap")
    subscriber.stop()
    assert ended(listener.thread)


def test_after_leaving_the_loop_within_a_batch_the_rest_is_delivered(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    sender = threading.Thread(target=_batches, args=(publisher, 40), daemon=True)
    sender.start()
    found: list[bytes] = []
    waited = False

    while len(found) < 120:
        for event in subscriber:
            waited |= subscriber._runtime.receiver._turns.poller.waiting_in is not None
            found.append(event.payload)
            if len(found) % 2 or len(found) == 120:
                break

    assert found == [b"%d" % number for number in range(120)]
    assert waited
    assert subscriber.event_count == 120
    assert ended(sender)


def _batches(publisher: RawPublisher, count: int) -> None:
    """Three events each, one batch after the other with a pause."""
    pause = threading.Event()
    for number in range(0, 3 * count, 3):
        payloads = [b"%d" % each for each in range(number, number + 3)]
        start = (publisher.address, publisher.session, number)
        body = encode_batch_body(*start, [1, 2, 3], payloads)
        publisher.socket.send(batch_prefix("A") + body)
        pause.wait(0.002)


def test_the_limit_holds_in_the_socket_too(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    options: dict[str, Any] = {"max_event_count": 100}
    subscriber = connect(broker, "decentralized", publisher, new_subscriber, **options)
    sender = threading.Thread(target=_batches, args=(publisher, 40), daemon=True)
    sender.start()

    assert len(list(subscriber)) == 100
    assert subscriber.event_count == 100
    assert ended(sender)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_at_the_limit_it_does_not_wait_for_more(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    count: int,
) -> None:
    publisher = new_publisher("A")
    options: dict[str, Any] = {"max_event_count": count}
    subscriber = connect(broker, "decentralized", publisher, new_subscriber, **options)
    received: list[Event] = []
    thread = threading.Thread(target=lambda: received.extend(subscriber), daemon=True)
    thread.start()

    for number in range(count):
        wait_for(
            lambda: subscriber._runtime.receiver._turns.poller._watched_open,
            "it to wait",
        )
        publisher.publish("A", b"x")
        wait_for(lambda: subscriber.event_count > number, "the event")  # noqa: B023

    assert ended(thread)
    assert len(received) == count


def test_a_signal_handler_may_stop_a_wait_in_the_socket(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)

    def stop_it_once_it_waits() -> None:
        pause = threading.Event()
        while subscriber._runtime.receiver._turns.poller.waiting_in is None:
            publisher.publish("A", b"x")
            pause.wait(0.002)
        pause.wait(0.05)  # until it is in the socket, most probably
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: subscriber.stop())
    try:
        helper = threading.Thread(target=stop_it_once_it_waits, daemon=True)
        helper.start()
        received = list(subscriber)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert received
    assert ended(helper)


def test_a_wait_with_a_timeout_ends_in_the_socket_too(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    poller = subscriber._runtime.receiver._turns.poller

    for timeout_s in (0.05, 0.002, 0.1):
        _until_it_waits_in_the_socket(subscriber, publisher)
        begun_at = time.monotonic()
        assert subscriber.receive(timeout_s) is None
        assert timeout_s <= time.monotonic() - begun_at < WAIT_S
        assert poller.waiting_in is None
        publisher.publish("A", b"later")
        event = subscriber.receive(WAIT_S)
        assert event is not None
        assert event.payload == b"later"

    _until_it_waits_in_the_socket(subscriber, publisher)
    assert subscriber.receive(0.0) is None  # it does not wait at all


def test_signals_do_not_prolong_a_wait_with_a_timeout(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    _until_it_waits_in_the_socket(subscriber, publisher)
    deadline = time.monotonic() + WAIT_S
    signals = itertools.count()

    def tick(*_: object) -> None:
        next(signals)
        if time.monotonic() > deadline:
            raise TimeoutError  # instead of a test that hangs

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        assert subscriber.receive(0.2) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert next(signals) > 1


def _until_it_waits_in_the_socket(
    subscriber: Subscriber, publisher: RawPublisher
) -> None:
    """The next call of `receive` begins in the socket."""
    receiver = subscriber._runtime.receiver
    while receiver._turns.poller.waiting_in is None:
        publisher.publish("A", b"x")
        assert subscriber.receive(WAIT_S) is not None


def test_two_threads_that_wait_in_turn_lose_no_event(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    received: list[bytes] = []

    def receive() -> None:
        for event in iter(functools.partial(subscriber.receive, WAIT_S), None):
            received.append(event.payload)
            if event.payload == b"last":
                subscriber.stop()

    threads = [threading.Thread(target=receive, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    pause = threading.Event()
    for number in range(200):
        publisher.publish("A", b"%d" % number)
        pause.wait(0.0005)
    publisher.publish("A", b"last")

    assert all(ended(thread) for thread in threads)
    assert sorted(received) == sorted([*(b"%d" % n for n in range(200)), b"last"])


def test_a_thread_finds_events_that_another_one_left_before_its_turn(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It decides to wait in the socket; then the other one receives, and leaves a frame for
    the cold path."""
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    turns = subscriber._runtime.receiver._turns
    published: list[bytes] = []
    received: list[bytes] = []

    def publish() -> None:
        published.append(b"%d" % len(published))
        publisher.publish("A", published[-1])

    def receive_until_one_is_left() -> None:
        fast_path = turns.fast_path
        while fast_path.deferred is None:
            publish()
            publisher.next_sequence["A"] += 1  # a gap: the next frame is unusual
            publish()
            while fast_path.deferred is None and len(received) < len(published):
                event = subscriber.parse_publish_event()
                received.extend([] if event is None else [event.payload])

    before = turns.socket_wait.patience_ms

    def patience_ms(deadline: float) -> int:
        monkeypatch.undo()
        other = threading.Thread(target=receive_until_one_is_left, daemon=True)
        other.start()
        assert ended(other)
        publish()
        return before(deadline)

    _until_it_waits_in_the_socket(subscriber, publisher)
    monkeypatch.setattr(turns.socket_wait, "patience_ms", patience_ms)
    while not published or len(received) < len(published):
        event = subscriber.receive(WAIT_S)
        assert event is not None
        received.extend([event.payload] if event.payload != b"x" else [])

    assert received == published


def test_without_an_interrupter_events_come_by_the_descriptor(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Interrupter) -> zmq.Socket[bytes]:
        raise zmq.ZMQError(errno.EMFILE)

    monkeypatch.setattr(Interrupter, "_connected", fail)
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    received: list[Event] = []
    thread = threading.Thread(target=lambda: received.extend(subscriber), daemon=True)
    thread.start()

    for number in range(20):
        publisher.publish("A", b"x")
        wait_for(lambda: subscriber.event_count > number, "the event")  # noqa: B023

    assert subscriber._runtime.receiver._turns.poller.waiting_in is None
    subscriber.stop()
    assert ended(thread)
    assert len(received) == 20


def test_closing_a_socket_does_not_wait_for_an_event(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    sub_socket = SubSocket(context, ["A"], 5, QueueBounds(1000))
    sub_socket.enable_interrupt()
    frames: list[bytes] = []
    buffer = memoryview(bytearray(1000))
    waiting = threading.Event()

    def wait() -> None:
        with sub_socket.lock:
            waiting.set()
            size = sub_socket.receive_into(buffer)
            frames.append(bytes(buffer[:size]))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waiting.wait(WAIT_S)

    sub_socket.close(0)

    assert ended(thread)
    assert is_interrupt(frames[0])
