"""A secure broker's sockets, one for each publisher: none is overheard, none looked at in
vain."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from pubsub_broker.blocking import BlockingForwarder
from pubsub_broker.effects import Attach
from pubsub_broker.guarded import GuardedSockets
from pubsub_common.security.keys import act_as_client, act_as_server, new_pair
from pubsub_common.security.zap import ZapServer

pytestmark = pytest.mark.integration

WAIT_S = 30
SUBSCRIPTION = b"A\0"
BROKER, CLIENT = new_pair(), new_pair()


class Bench:
    """Guarded sockets, their publishers, and a subscriber to topic A."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], publishers: int, *, polled: bool
    ) -> None:
        self.publishers = [context.socket(zmq.XPUB) for _ in range(publishers)]
        self.known: dict[str, Attach] = {}
        for socket in self.publishers:
            act_as_server(socket, CLIENT)
            socket.set_hwm(0)
            address = f"127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
            self.known[address] = Attach(address, ("A",), CLIENT.public)
        self.sockets = GuardedSockets(
            context,
            0,
            blocking=False,
            polled=polled,
            pair=BROKER,
            publisher_at=self.known.get,
            permits=lambda _key, _topic: True,
            on_refused=lambda _key, _what, _address: None,
        )
        self.sockets.apply([(True, address) for address in self.known])
        port = self.sockets.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.subscriber = context.socket(zmq.SUB)
        act_as_client(self.subscriber, CLIENT, BROKER.public)
        self.subscriber.rcvtimeo = WAIT_S * 1000
        self.subscriber.subscribe(SUBSCRIPTION)
        self.subscriber.connect(f"tcp://127.0.0.1:{port}")

    def settle(self) -> None:
        """Until every publisher knows of the subscription, and nothing waits."""
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
    # Its own thread closes the socket of the server, at the context's end.
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
    bench.settle()
    forwarder = BlockingForwarder(bench.sockets, "test")
    forwarder.start()
    try:
        # One at a time: each finds the loop waiting, or about to.
        for number in range(200):
            event = SUBSCRIPTION + b"%d" % number
            bench.publishers[number * 7 % 20].send(event)
            assert bench.subscriber.recv() == event
        for number, publisher in enumerate(bench.publishers):
            publisher.send(SUBSCRIPTION + b"%d" % number)
        found = {bench.subscriber.recv() for _ in bench.publishers}
        assert found == {SUBSCRIPTION + b"%d" % number for number in range(20)}
    finally:
        forwarder.close(time.monotonic())
    assert forwarder.error is None


def test_an_event_costs_no_look_at_publishers_that_have_none(
    make: Callable[..., Bench],
) -> None:
    bench = make(5)
    bench.settle()
    busy, *idle = bench.sockets._sources.values()
    looks: list[int] = []
    for source in idle:
        source.events = lambda: looks.append(1) or 0  # type: ignore[func-returns-value]
    for _ in range(10):
        bench.publishers[0].send(SUBSCRIPTION)
        assert bench.next_message() == SUBSCRIPTION
        assert bench.sockets.receive() is None
    assert not looks
    assert not busy.waiting


def test_a_busy_publisher_does_not_keep_out_another(
    make: Callable[..., Bench],
) -> None:
    bench = make(2)
    bench.settle()
    for number in range(1000):
        bench.publishers[0].send(SUBSCRIPTION + b"busy%d" % number)
    first = bench.next_message()
    bench.publishers[1].send(SUBSCRIPTION + b"other")
    other = list(bench.sockets._sources.values())[1]
    bench.until(lambda: other.events() & zmq.POLLIN)
    bench.sockets._expect(other)  # as asking it took the news of its event
    taken = [first, *(bench.next_message() for _ in range(1000))]
    assert taken.index(SUBSCRIPTION + b"other") < 200
    busy = [item for item in taken if b"busy" in item]
    assert busy == [SUBSCRIPTION + b"busy%d" % number for number in range(1000)]


def test_news_that_somebody_else_took_in_are_not_lost(
    make: Callable[..., Bench],
) -> None:
    bench = make(3)
    bench.settle()
    bench.publishers[1].send(SUBSCRIPTION)
    bench.until(bench.sockets.has_input)
    assert bench.next_message() == SUBSCRIPTION
    bench.publishers[2].send(SUBSCRIPTION + b"2")
    bench.until(bench.sockets.has_input)
    # A change of topics, and a publisher that leaves while it is its turn.
    address = list(bench.known)[2]
    bench.known[address] = Attach(address, ("A", "B"), CLIENT.public)
    bench.sockets.apply([(True, address)])
    assert bench.next_message() == SUBSCRIPTION + b"2"
    bench.publishers[2].send(SUBSCRIPTION + b"3")
    bench.until(bench.sockets.has_input)
    bench.sockets.disconnect(address)
    assert bench.sockets.receive() is None
    bench.publishers[0].send(SUBSCRIPTION + b"4")
    assert bench.next_message() == SUBSCRIPTION + b"4"


def test_a_loop_with_libzmqs_poll_finds_what_that_took_in(
    make: Callable[..., Bench],
) -> None:
    bench = make(3, polled=True)
    bench.settle()
    for number in range(20):
        event = SUBSCRIPTION + b"%d" % number
        bench.publishers[number % 3].send(event)
        sockets = [(socket, zmq.POLLIN) for socket in bench.sockets.inputs()]
        assert zmq.zmq_poll(sockets, WAIT_S * 1000)
        message = bench.sockets.receive()
        assert message is not None
        assert message[0].bytes == event
