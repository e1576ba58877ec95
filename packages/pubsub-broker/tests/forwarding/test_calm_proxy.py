"""A forwarder that waits, with libzmq's proxy while traffic is calm, over real sockets:
nothing is lost, and it always ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import zmq
from support.ports import free_port

from pubsub_broker.forwarding import calm_traffic
from pubsub_broker.forwarding.calm_proxy import CalmProxy
from pubsub_broker.forwarding.python_loop import PythonForwarder
from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import wait_for

WAIT_S = 60
TOPIC = b"A\0"
QUEUE = 1000
BULK = bytes(20_000)
# More than queue and buffers hold.
MANY = 3000


class Bench:
    """A forwarder with a publisher's socket, and looks only where a test asks."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.context = context
        self.sockets = PlainSockets(context, QueueBounds(QUEUE), blocking=True)
        self.port = free_port()
        self.sockets.bind("127.0.0.1", self.port)
        self.proxy = CalmProxy(context, self.sockets, "calm", QUEUE)
        self.failed = threading.Event()
        self.forwarder = PythonForwarder(
            self.sockets, "calm", self.failed.set, self.proxy
        )
        self.forwarder.start()
        self.sent = 0
        self.markers = 0
        self.xpub, address = self.source()
        self.forwarder.apply([(True, address)])

    def source(self) -> tuple[zmq.Socket[bytes], str]:
        xpub = self.context.socket(zmq.XPUB)
        xpub.set_hwm(0)
        xpub.rcvtimeo = WAIT_S * 1000
        return xpub, f"127.0.0.1:{xpub.bind_to_random_port('tcp://127.0.0.1')}"

    def sink(self, *, slow: bool = False) -> zmq.Socket[bytes]:
        """A subscriber; its subscriptions have arrived at the publisher."""
        sub = self.context.socket(zmq.SUB)
        sub.rcvhwm = 1 if slow else 0
        if slow:
            sub.rcvbuf = 65_536
        sub.rcvtimeo = WAIT_S * 1000
        sub.subscribe(TOPIC)
        sub.connect(f"tcp://127.0.0.1:{self.port}")
        self.markers += 1
        marker = b"marker %d" % self.markers
        sub.subscribe(marker)
        seen(self.xpub, b"\1" + marker)
        return sub

    def send(self, count: int, filling: bytes = b"") -> None:
        for number in range(self.sent, self.sent + count):
            self.xpub.send(TOPIC + number.to_bytes(4, "big") + filling)
        self.sent += count

    def look(self) -> None:
        self.forwarder.look(time.monotonic())

    def is_inside(self) -> bool:
        """Whether the proxy forwards."""
        return self.proxy._inside

    def is_stuck(self) -> bool:
        """Whether forwarding has waited for a while."""
        self.look()
        since = self.forwarder.held_since
        return since is not None and time.monotonic() - since > 0.3


def seen(xpub: zmq.Socket[bytes], subscription: bytes) -> None:
    while xpub.recv() != subscription:
        pass


def numbers(sub: zmq.Socket[bytes], count: int) -> list[int]:
    return [int.from_bytes(sub.recv()[2:6], "big") for _ in range(count)]


@pytest.fixture
def bench(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setattr(calm_traffic, "LEAST_QUEUE", QUEUE)  # sooner full
    bench = Bench(context)
    yield bench
    bench.forwarder.close(time.monotonic())


def test_at_rest_the_proxy_forwards_and_counts(bench: Bench) -> None:
    sink = bench.sink()
    wait_for(bench.is_inside)

    for number in range(100):
        bench.send(1)
        assert numbers(sink, 1) == [number]

    assert bench.is_inside()
    assert bench.forwarder.forwarded() == 100
    bench.look()
    _, largest = bench.forwarder.large_bytes()
    assert largest >= len(TOPIC) + 4


def test_looks_do_not_wake_a_proxy_at_rest(bench: Bench) -> None:
    wait_for(bench.is_inside)

    def rests() -> bool:
        for _ in range(10):
            bench.look()
            if bench.proxy.blocked_since() is not None:
                return False
        return True

    wait_for(rests)


def test_changes_of_connections_reach_it(bench: Bench) -> None:
    sink = bench.sink()
    for _ in range(5):
        wait_for(bench.is_inside)
        late, address = bench.source()
        bench.forwarder.apply([(True, address)])
        seen(late, b"\1" + TOPIC)
        late.send(TOPIC + bytes(4))
        assert numbers(sink, 1) == [0]


def test_looks_under_load_lose_nothing_and_count_each_message_once(
    bench: Bench,
) -> None:
    sink = bench.sink()
    wait_for(bench.is_inside)
    count = 20_000
    load = threading.Thread(target=bench.send, args=[count])
    load.start()
    while load.is_alive():
        bench.look()

    assert numbers(sink, count) == list(range(count))
    load.join()

    def is_calm_again() -> bool:
        bench.look()
        return bench.is_inside()

    wait_for(is_calm_again)
    # Those that pass while the proxy ends are not counted.
    assert 0 < bench.forwarder.forwarded() <= count


def test_a_subscriber_that_stops_reading_does_not_block_the_proxy(
    bench: Bench,
) -> None:
    sink = bench.sink(slow=True)
    wait_for(bench.is_inside)
    while not (bench.forwarder.held_since and bench.sockets.output.held):
        bench.send(20, BULK)
        wait_for(lambda: bench.forwarder.forwarded() == bench.sent or held(bench))
        bench.look()
        # What passes while the proxy ends is not counted.
        wait_for(lambda: not bench.proxy._leaving)

    assert not bench.is_inside()
    late, address = bench.source()
    bench.forwarder.apply([(True, address)])
    seen(late, b"\1" + TOPIC)
    assert numbers(sink, bench.sent) == list(range(bench.sent))


def held(bench: Bench) -> bool:
    return bench.sockets.output.held is not None


def test_a_sudden_flood_for_one_that_does_not_read_loses_nothing(
    bench: Bench,
) -> None:
    sink = bench.sink(slow=True)
    wait_for(bench.is_inside)

    bench.send(MANY, BULK)
    wait_for(bench.is_stuck)

    assert numbers(sink, MANY) == list(range(MANY))
    wait_for(lambda: bench.forwarder.held_since is None)


def test_closing_ends_a_proxy_that_is_blocked(bench: Bench) -> None:
    bench.sink(slow=True)
    wait_for(bench.is_inside)
    bench.send(MANY, BULK)
    wait_for(bench.is_stuck)

    bench.forwarder.close(time.monotonic())

    assert not bench.forwarder.thread.is_alive()
    assert bench.sockets.xpub.closed


def test_too_many_waiting_bytes_end_the_calm(bench: Bench) -> None:
    wait_for(bench.is_inside)
    bench.sockets.output.bytes_full = True

    bench.look()

    wait_for(lambda: not bench.is_inside())
    bench.sockets.output.bytes_full = False

    def is_calm_again() -> bool:
        bench.look()
        return bench.is_inside()

    wait_for(is_calm_again)


def test_a_proxy_that_fails_says_so(bench: Bench) -> None:
    wait_for(bench.is_inside)
    bench.forwarder.apply([(True, "not an address")])

    assert bench.failed.wait(WAIT_S)
    assert isinstance(bench.forwarder.error, zmq.ZMQError)
