"""A secure broker's sockets, one for each publisher: no message is missed, and no
socket is checked needlessly."""

from __future__ import annotations

import errno
import functools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding.counted import CountingForwarder
from pubsub_broker.forwarding.python_loop import PythonForwarder
from pubsub_broker.forwarding.secure_sockets import SecureSockets
from pubsub_common.protocol.events import (
    encode_event,
    parse_ready_request,
    ready_topic,
)
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.keys import (
    configure_curve_client,
    configure_curve_server,
    new_key_pair,
)
from pubsub_common.security.zap_server import ZapServer

WAIT_S = 60
SUBSCRIPTION = b"A\0"
BROKER, CLIENT = new_key_pair(), new_key_pair()
SESSION = 2**40


def event(text: object = "", session: int = SESSION) -> bytes:
    """An event of A like a publisher's; the address does not matter."""
    return encode_event("A", "10.0.0.1:1", session, 0, 0, f"{text}".encode())


class Bench:
    """Guarded sockets, their publishers, and a subscriber to topic A."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], publishers: int, *, polled: bool
    ) -> None:
        self.publishers = [context.socket(zmq.XPUB) for _ in range(publishers)]
        self.known: dict[str, Attach] = {}
        self.forged: list[tuple[str, str]] = []
        for socket in self.publishers:
            configure_curve_server(socket, CLIENT)
            socket.set_hwm(0)
            address = f"127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
            self.known[address] = Attach(address, ("A",), CLIENT.public, SESSION)
        self.sockets = SecureSockets(
            context,
            QueueBounds(1_000_000),
            blocking=False,
            polled=polled,
            pair=BROKER,
            publisher_at=self.known.get,
            permits=lambda _key, _topic: True,
            on_refused=lambda _key, _what, _address: None,
            on_forged=lambda *who: self.forged.append(who),
        )
        self.sockets.apply([(True, address) for address in self.known])
        port = self.sockets.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.subscriber = context.socket(zmq.SUB)
        configure_curve_client(self.subscriber, CLIENT, BROKER.public)
        self.subscriber.rcvtimeo = WAIT_S * 1000
        self.subscriber.subscribe(SUBSCRIPTION)
        self.subscriber.connect(f"tcp://127.0.0.1:{port}")

    def wait_until_subscribed(self) -> None:
        """Until every publisher has received the subscription, and nothing waits."""
        for socket in self.publishers:
            self.until(functools.partial(self._asked, socket))
        assert self.sockets.receive() is None

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            self.sockets.forward_subscriptions()
            assert time.monotonic() < deadline

    def _asked(self, socket: zmq.Socket[bytes]) -> bool:
        self.sockets.receive()
        return bool(socket.poll(0)) and socket.recv() == b"\x01" + SUBSCRIPTION

    def next_message(self) -> bytes:
        deadline = time.monotonic() + WAIT_S
        while (message := self.sockets.receive()) is None:
            assert time.monotonic() < deadline
        return message[0].bytes


@pytest.fixture
def make(context: Any) -> Iterator[Callable[..., Bench]]:
    ZapServer(context, lambda _key, _address: True)
    # Its own thread closes the socket of the server at the end of the context.
    context.kept = context.kept[:-1]
    made: list[Bench] = []

    def bench(publishers: int, *, polled: bool = False) -> Bench:
        made.append(Bench(context, publishers, polled=polled))
        return made[-1]

    yield bench
    for each in made:
        each.sockets.close(0)


def test_each_event_of_many_publishers_wakes_the_loop(
    make: Callable[..., Bench],
) -> None:
    bench = make(20)
    bench.wait_until_subscribed()
    forwarder = PythonForwarder(bench.sockets, "test")
    forwarder.start()
    try:
        # One at a time: each finds the loop waiting, or about to.
        for number in range(200):
            sent = event(number)
            bench.publishers[number * 7 % 20].send(sent)
            assert bench.subscriber.recv() == sent
        for number, publisher in enumerate(bench.publishers):
            publisher.send(event(number))
        found = {bench.subscriber.recv() for _ in bench.publishers}
        assert found == {event(number) for number in range(20)}
    finally:
        forwarder.close(time.monotonic())
    assert forwarder.error is None


def test_an_event_costs_no_look_at_publishers_that_have_none(
    make: Callable[..., Bench],
) -> None:
    bench = make(5)
    bench.wait_until_subscribed()
    busy, *idle = bench.sockets._connections.values()
    looks: list[int] = []
    for source in idle:
        source.events = lambda: looks.append(1) or 0  # type: ignore[func-returns-value]
    for _ in range(10):
        bench.publishers[0].send(event())
        assert bench.next_message() == event()
        assert bench.sockets.receive() is None
    assert not looks
    assert not busy.queued


def test_a_busy_publisher_does_not_keep_out_another(
    make: Callable[..., Bench],
) -> None:
    bench = make(2)
    bench.wait_until_subscribed()
    for number in range(1000):
        bench.publishers[0].send(event(f"busy{number}"))
    first = bench.next_message()
    bench.publishers[1].send(event("other"))
    other = list(bench.sockets._connections.values())[1]
    bench.until(lambda: other.events() & zmq.POLLIN)
    # as the request consumed the notification of its event
    bench.sockets._queue.add(other)
    taken = [first, *(bench.next_message() for _ in range(1000))]
    assert taken.index(event("other")) < 200
    busy = [item for item in taken if b"busy" in item]
    assert busy == [event(f"busy{number}") for number in range(1000)]


def test_news_that_somebody_else_took_in_are_not_lost(
    make: Callable[..., Bench],
) -> None:
    bench = make(3)
    bench.wait_until_subscribed()
    bench.publishers[1].send(event())
    bench.until(bench.sockets.has_input)
    assert bench.next_message() == event()
    bench.publishers[2].send(event(2))
    bench.until(bench.sockets.has_input)
    # A change of topics, and a publisher that leaves during its turn.
    address = list(bench.known)[2]
    bench.known[address] = Attach(address, ("A", "B"), CLIENT.public, SESSION)
    bench.sockets.apply([(True, address)])
    assert bench.next_message() == event(2)
    bench.publishers[2].send(event(3))
    bench.until(bench.sockets.has_input)
    bench.sockets.disconnect(address)
    assert bench.sockets.receive() is None
    bench.publishers[0].send(event(4))
    assert bench.next_message() == event(4)


def test_a_loop_with_libzmqs_poll_finds_what_that_took_in(
    make: Callable[..., Bench],
) -> None:
    bench = make(3, polled=True)
    bench.wait_until_subscribed()
    for number in range(20):
        sent = event(number)
        bench.publishers[number % 3].send(sent)
        sockets = [(socket, zmq.POLLIN) for socket in bench.sockets.inputs()]
        assert zmq.zmq_poll(sockets, WAIT_S * 1000)
        message = bench.sockets.receive()
        assert message is not None
        assert message[0].bytes == sent


def test_forged_messages_are_dropped_and_a_flood_of_them_holds_up_nobody(
    make: Callable[..., Bench],
) -> None:
    bench = make(2)
    bench.wait_until_subscribed()
    for _ in range(500):
        bench.publishers[0].send(event("forged", SESSION + 1))
    bench.publishers[0].send(SUBSCRIPTION + b"not an event")
    bench.publishers[0].send(event("forged" * 10_000, SESSION + 1))
    bench.publishers[1].send(event("his own"))
    taken: list[bytes] = []

    def all_taken() -> bool:
        message = bench.sockets.receive()
        if message is not None:
            assert len(message) < 2
            assert bench.sockets.output.offer(message)
            taken.extend(frame.bytes for frame in message)
        return len(bench.forged) == 502 and bool(taken)

    bench.until(all_taken)

    assert taken == [event("his own")]
    assert bench.subscriber.recv() == taken[0]
    assert set(bench.forged) == {(CLIENT.public, "127.0.0.1")}


def test_a_publisher_with_a_new_session_is_received_at_once_and_its_old_messages_too(
    make: Callable[..., Bench],
) -> None:
    bench = make(1)
    bench.wait_until_subscribed()
    (address,) = bench.known
    # The broker's loop has the change, and the forwarder's thread does not yet.
    bench.known[address] = Attach(address, ("A",), CLIENT.public, SESSION + 1)
    for session in (SESSION, SESSION + 1, SESSION):
        bench.publishers[0].send(event("x" * 10_000, session))
        assert bench.next_message() == event("x" * 10_000, session)

    bench.known[address] = Attach(address, ("A",), BROKER.public, SESSION + 2)
    bench.publishers[0].send(event("another key's", SESSION + 2))
    bench.until(lambda: bench.sockets.receive() == [])


def test_a_publisher_sees_all_ready_topics_those_of_others_masked(
    make: Callable[..., Bench],
) -> None:
    """With several forwarders a publisher waits for all topics of a subscriber, its own
    or not."""
    bench = make(2)
    bench.wait_until_subscribed()
    one, other = bench.known
    bench.known[other] = Attach(other, ("B",), CLIENT.public, SESSION)
    bench.sockets.apply([(True, other)])
    delivered: tuple[list[bytes], ...] = ([], [])

    def has_delivered(index: int, message: bytes) -> bool:
        bench.sockets.receive()
        for socket, messages in zip(bench.publishers, delivered, strict=True):
            while socket.poll(0):
                messages.append(socket.recv())
        return message in delivered[index]

    alone, counted = ready_topic("A", 9), ready_topic("A", 9, 2, 3)
    bench.subscriber.subscribe(alone)
    bench.subscriber.subscribe(counted)
    bench.until(lambda: has_delivered(0, b"\x01" + counted) and len(delivered[1]) > 1)
    assert delivered[0] == [b"\x01" + alone, b"\x01" + counted]
    given_up, veil = delivered[1]  # A, which it no longer has
    assert given_up == b"\0" + SUBSCRIPTION
    question = parse_ready_request(veil[1:])
    assert question is not None
    assert (question.session, question.topics, question.attempt) == (9, 2, 3)
    assert "A" not in question.topic

    # It has the topic again, which still counts as one.
    bench.known[other] = Attach(other, ("A", "B"), CLIENT.public, SESSION)
    bench.sockets.apply([(True, other)])
    bench.until(lambda: has_delivered(1, b"\x01" + counted))
    assert delivered[1].index(b"\0" + veil[1:]) < delivered[1].index(b"\x01" + counted)

    bench.subscriber.unsubscribe(counted)
    bench.until(lambda: has_delivered(1, b"\0" + counted))
    assert one != other


def test_events_of_a_publisher_without_a_socket_arrive_when_there_is_one(
    make: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = make(2)
    bench.wait_until_subscribed()
    first, second = bench.known
    bench.sockets.disconnect(second)
    # Otherwise it may receive the next change before this end, and so miss both.
    gone = bench.publishers[1]
    bench.until(lambda: gone.poll(0) and gone.recv() == b"\0" + SUBSCRIPTION)

    def no_socket(_publisher: Attach, _place: str) -> Any:
        raise zmq.ZMQError(errno.EMFILE)

    with monkeypatch.context() as patch:
        patch.setattr(bench.sockets, "_connect", no_socket)
        for _ in range(3):
            bench.sockets.apply([(True, second)])
    due = bench.sockets.detach_due()
    assert due is not None
    assert not bench.sockets.attached(second)
    bench.publishers[0].send(event(1))
    assert bench.next_message() == event(1)

    bench.sockets.apply([])
    assert bench.sockets.attached(first)
    assert bench.sockets.attached(second)
    assert bench.sockets.detach_due() is None
    bench.until(functools.partial(bench._asked, bench.publishers[1]))
    bench.publishers[1].send(event(2))
    assert bench.next_message() == event(2)
    [line] = caplog.messages
    assert second in line


def test_one_that_leaves_before_there_is_a_socket_gets_none(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(1)
    [address] = bench.known
    bench.sockets.disconnect(address)

    def no_socket(_publisher: Attach, _place: str) -> Any:
        raise zmq.ZMQError(errno.EMFILE)

    with monkeypatch.context() as patch:
        patch.setattr(bench.sockets, "_connect", no_socket)
        bench.sockets.apply([(True, address), (False, address)])
    bench.sockets.apply([])

    assert not bench.sockets.attached(address)
    assert bench.sockets.detach_due() is None


def test_a_broker_that_counts_skips_messages_in_another_name(
    make: Callable[..., Bench],
) -> None:
    bench = make(1, polled=True)
    bench.wait_until_subscribed()
    forwarding: Any = SimpleNamespace(
        threaded=False,
        socket_sets=[bench.sockets],
        sockets_of=lambda _topic: bench.sockets,
    )
    counting = CountingForwarder(forwarding, 10)
    counting.register(zmq.Poller())
    bench.publishers[0].send(event("forged", SESSION + 1))
    bench.publishers[0].send_multipart([event("forged", SESSION + 1), event("more")])
    bench.publishers[0].send(event("his own"))

    def all_passed() -> bool:
        counting.forward()
        return counting.forwarded == 1

    bench.until(all_passed)

    assert bench.subscriber.recv() == event("his own")
    assert len(bench.forged) == 2
