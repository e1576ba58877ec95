"""Forwarding over real sockets: nothing is lost or counted twice, and everything is
closed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from support.ports import free_port

from pubsub_broker.forwarding import draining
from pubsub_broker.forwarding import zmq_proxy as proxy_module
from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_broker.forwarding.zmq_proxy import ANSWER_S, ZmqProxyForwarder
from pubsub_common.errors import PubSubError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import wait_for

WAIT_MS = 30_000
NO_LIMIT = 0
TOPIC = b"A\0"


class Source:
    """A publisher's data port."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.xpub = context.socket(zmq.XPUB)
        self.xpub.set_hwm(NO_LIMIT)
        self.xpub.rcvtimeo = WAIT_MS
        self.address = f"127.0.0.1:{self.xpub.bind_to_random_port('tcp://127.0.0.1')}"

    def wait_for(self, subscription: bytes) -> None:
        """Until this change of subscriptions has come."""
        while self.xpub.recv() != subscription:
            pass

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self.xpub.send(TOPIC + number.to_bytes(4, "big"))


class Sink:
    """A subscriber of one topic."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        port: int,
        receive_limit: int = NO_LIMIT,
    ) -> None:
        self.sub = context.socket(zmq.SUB)
        self.sub.rcvhwm = receive_limit
        if receive_limit:
            self.sub.rcvbuf = 65_536
        self.sub.rcvtimeo = WAIT_MS
        self.sub.subscribe(TOPIC)
        self.sub.connect(f"tcp://127.0.0.1:{port}")

    def numbers(self, count: int) -> list[int]:
        return [int.from_bytes(self.sub.recv()[2:], "big") for _ in range(count)]

    def is_empty(self) -> bool:
        return not self.sub.poll(0)


@pytest.fixture
def pair(context: zmq.Context[zmq.Socket[bytes]]) -> PlainSockets:
    return PlainSockets(context, QueueBounds(1_000_000))


@pytest.fixture
def port(pair: PlainSockets) -> int:
    while True:
        port = free_port()
        with contextlib.suppress(zmq.ZMQError):  # another process took it meanwhile
            pair.bind("127.0.0.1", port)
            return port


@pytest.fixture
def proxy(
    context: zmq.Context[zmq.Socket[bytes]], pair: PlainSockets, port: int
) -> Iterator[ZmqProxyForwarder]:
    proxy = ZmqProxyForwarder(context, pair, "test-forwarder")
    proxy.start()
    yield proxy
    proxy.close(0)


@pytest.fixture
def source(context: zmq.Context[zmq.Socket[bytes]]) -> Source:
    return Source(context)


# The sockets


def pump(pair: PlainSockets, until: Callable[[], bool]) -> None:
    """Pass subscriptions on until the condition holds."""
    poller = zmq.Poller()
    poller.register(pair.xpub, zmq.POLLIN)
    while not until():
        poller.poll(10)
        pair.forward_subscriptions()


def test_subscriptions_are_passed_on_to_publishers(
    context: zmq.Context[zmq.Socket[bytes]],
    pair: PlainSockets,
    port: int,
    source: Source,
) -> None:
    pair.attach(source.address)
    Sink(context, port)

    pump(pair, lambda: bool(source.xpub.poll(0)))

    assert source.xpub.recv() == b"\1" + TOPIC


def test_a_publisher_that_comes_later_learns_of_earlier_subscriptions(
    context: zmq.Context[zmq.Socket[bytes]],
    pair: PlainSockets,
    port: int,
    source: Source,
) -> None:
    Sink(context, port)
    poller = zmq.Poller()
    poller.register(pair.xpub, zmq.POLLIN)
    assert poller.poll(WAIT_MS)
    pair.forward_subscriptions()

    pair.attach(source.address)

    source.wait_for(b"\1" + TOPIC)


def test_the_queue_limit_is_none_for_subscriptions(
    context: zmq.Context[zmq.Socket[bytes]], source: Source
) -> None:
    pair = PlainSockets(context, QueueBounds(5))
    topics = [b"%d\0" % number for number in range(500)]
    for topic in topics[:250]:
        pair.xsub.send(b"\1" + topic)
    pair.attach(source.address)
    for topic in topics[250:]:
        pair.xsub.send(b"\1" + topic)

    assert {source.xpub.recv()[1:] for _ in topics} == set(topics)


def test_attaching_twice_connects_once(pair: PlainSockets, source: Source) -> None:
    pair.xsub.rcvtimeo = WAIT_MS
    pair.xsub.send(b"\1" + TOPIC)
    pair.attach(source.address)
    pair.attach(source.address)
    source.wait_for(b"\1" + TOPIC)

    source.send(1, 2)

    assert [pair.xsub.recv()[-1] for _ in range(2)] == [1, 2]
    assert not pair.xsub.poll(0)


def test_detaching_waits_for_what_is_under_way(
    pair: PlainSockets, source: Source
) -> None:
    pair.xsub.rcvtimeo = WAIT_MS
    pair.xsub.send(b"\1" + TOPIC)
    pair.attach(source.address)
    source.wait_for(b"\1" + TOPIC)

    pair.apply([(False, source.address)])
    source.send(1)

    assert pair.detach_due() is not None
    assert pair.xsub.recv()[-1] == 1


def test_a_detachment_that_is_due_waits_until_the_publisher_closes(
    pair: PlainSockets, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DETACH_GRACE_S", 0.0)
    monkeypatch.setattr(draining, "_CHECK_AGAIN_S", 0.0)
    pair.xsub.rcvtimeo = WAIT_MS
    pair.xsub.send(b"\1" + TOPIC)
    pair.attach(source.address)
    source.wait_for(b"\1" + TOPIC)

    pair.apply([(False, source.address)])
    assert pair.detach_due() is not None
    # It keeps sending after its grace time, like a publisher with a long queue.
    source.send(1)
    assert pair.xsub.recv()[-1] == 1
    pair.apply([])
    assert pair.detach_due() is not None

    source.xpub.close(linger=0)
    deadline = time.monotonic() + WAIT_MS / 1000
    while pair.detach_due() is not None:
        assert time.monotonic() < deadline
        pair.apply([])
    assert not pair.attached(source.address)


def test_a_detachment_disconnects_at_last_from_one_that_does_not_close(
    pair: PlainSockets, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DETACH_GRACE_S", 0.0)
    monkeypatch.setattr(draining, "MAX_DRAIN_S", 0.0)
    pair.xsub.send(b"\1" + TOPIC)
    pair.attach(source.address)
    source.wait_for(b"\1" + TOPIC)

    pair.apply([(False, source.address)])

    assert pair.detach_due() is None
    while not source.xpub.poll(1):
        pair.xsub.poll(0)  # libzmq acts on requests when the socket is used
    assert source.xpub.recv() == b"\0" + TOPIC


def test_a_detachment_waits_once_more_while_events_wait(
    pair: PlainSockets, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "DETACH_GRACE_S", 0.0)
    pair.xsub.rcvtimeo = WAIT_MS
    pair.xsub.send(b"\1" + TOPIC)
    pair.attach(source.address)
    source.wait_for(b"\1" + TOPIC)
    source.send(1, 2)
    assert pair.xsub.poll(WAIT_MS)

    pair.apply([(False, source.address)])

    assert pair.detach_due() is not None
    assert [pair.xsub.recv()[-1] for _ in range(2)] == [1, 2]


def test_attaching_again_calls_a_detachment_off(
    pair: PlainSockets, source: Source
) -> None:
    pair.apply([(True, source.address), (False, source.address)])
    assert pair.detach_due() is not None

    pair.apply([(True, source.address)])

    assert pair.detach_due() is None


def test_detaching_what_is_not_attached_does_nothing(pair: PlainSockets) -> None:
    pair.apply([(False, "127.0.0.1:1")])

    assert pair.detach_due() is None


def test_the_earliest_detachment_is_due_first(
    pair: PlainSockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([10.0, 20.0, 30.0, 40.0])
    monkeypatch.setattr(
        "pubsub_broker.forwarding.sockets.time.monotonic", lambda: next(times)
    )
    pair.attach("127.0.0.1:1")
    pair.attach("127.0.0.1:2")

    pair.detach("127.0.0.1:2")
    pair.detach("127.0.0.1:1")

    assert pair.detach_due() == 10.0 + draining.DETACH_GRACE_S


def test_a_port_in_use_is_an_error(
    context: zmq.Context[zmq.Socket[bytes]], pair: PlainSockets, source: Source
) -> None:
    taken = int(source.address.rpartition(":")[2])

    with pytest.raises(zmq.ZMQError):
        pair.bind("127.0.0.1", taken)


# The proxy


def change(proxy: ZmqProxyForwarder, changes: list[tuple[bool, str]]) -> None:
    """Make it apply these changes, and wait until it has."""
    proxy.apply(changes)
    proxy.wait_applied(time.monotonic() + ANSWER_S)


def test_events_are_forwarded_in_order(
    context: zmq.Context[zmq.Socket[bytes]],
    proxy: ZmqProxyForwarder,
    port: int,
    source: Source,
) -> None:
    change(proxy, [(True, source.address)])
    sink = Sink(context, port)
    source.wait_for(b"\1" + TOPIC)

    source.send(*range(1000))

    assert sink.numbers(1000) == list(range(1000))
    wait_for(lambda: proxy.forwarded() == 1000)


def test_what_has_gone_on_before_an_interruption_is_counted_once(
    context: zmq.Context[zmq.Socket[bytes]],
    proxy: ZmqProxyForwarder,
    port: int,
    source: Source,
) -> None:
    change(proxy, [(True, source.address)])
    sink = Sink(context, port)
    source.wait_for(b"\1" + TOPIC)
    counts = []
    for turn in range(5):
        source.send(*range(10))
        sink.numbers(10)
        wait_for(lambda: proxy.forwarded() == 10 * (turn + 1))  # noqa: B023
        counts.append(proxy.forwarded())
        change(proxy, [])
        assert proxy.forwarded() == counts[turn]

    assert counts == [10, 20, 30, 40, 50]


def test_a_proxy_that_is_busy_tells_its_counts_later(
    context: zmq.Context[zmq.Socket[bytes]],
    pair: PlainSockets,
    port: int,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No call waits for it, and its answers are not mistaken for those of later
    commands."""
    monkeypatch.setattr(proxy_module, "COUNTS_S", 0.0)
    busy = ZmqProxyForwarder(
        context, pair, "busy"
    )  # not started yet: it answers nothing
    try:
        assert [busy.forwarded() for _ in range(3)] == [0, 0, 0]
    finally:
        busy.start()
    try:
        change(busy, [(True, source.address)])
        sink = Sink(context, port)
        source.wait_for(b"\1" + TOPIC)
        source.send(*range(10))
        sink.numbers(10)
        wait_for(lambda: busy.forwarded() == 10)
        change(busy, [])
        assert busy.forwarded() == 10
    finally:
        busy.close(time.monotonic() + ANSWER_S)


def test_interruptions_under_load_lose_nothing(
    context: zmq.Context[zmq.Socket[bytes]],
    proxy: ZmqProxyForwarder,
    port: int,
    source: Source,
) -> None:
    count = 30_000
    others = [Source(context) for _ in range(10)]
    change(proxy, [(True, source.address)])
    sink = Sink(context, port)
    source.wait_for(b"\1" + TOPIC)
    load = threading.Thread(target=source.send, args=range(count))
    load.start()

    interruptions = 0
    while load.is_alive() or interruptions < 20:
        other = others[interruptions % len(others)].address
        change(proxy, [(interruptions % 20 < 10, other)])
        interruptions += 1

    assert sink.numbers(count) == list(range(count))
    assert sink.is_empty()
    # Messages during the interruption of the proxy are not counted.
    assert 0 < proxy.forwarded() <= count
    load.join()


def test_events_of_a_publisher_attached_under_load_arrive(
    context: zmq.Context[zmq.Socket[bytes]],
    proxy: ZmqProxyForwarder,
    port: int,
    source: Source,
) -> None:
    stop = threading.Event()
    change(proxy, [(True, source.address)])
    sink = Sink(context, port)
    source.wait_for(b"\1" + TOPIC)

    def send_until_stopped() -> None:
        while not stop.is_set():
            source.send(1)
            stop.wait(0.0001)

    load = threading.Thread(target=send_until_stopped)
    load.start()
    try:
        late = Source(context)
        change(proxy, [(True, late.address)])
        late.wait_for(b"\1" + TOPIC)
        late.send(2)
        while sink.numbers(1) != [2]:
            pass
    finally:
        stop.set()
        load.join()


def test_closing_lets_out_what_was_accepted(
    context: zmq.Context[zmq.Socket[bytes]],
    pair: PlainSockets,
    port: int,
    source: Source,
) -> None:
    proxy = ZmqProxyForwarder(context, pair, "closing")
    proxy.start()
    change(proxy, [(True, source.address)])
    sink = Sink(context, port, receive_limit=1)
    source.wait_for(b"\1" + TOPIC)
    count, filling = 2000, bytes(10_000)  # more than the kernel buffers
    for number in range(count):
        source.xpub.send(TOPIC + number.to_bytes(4, "big") + filling)
    while proxy.forwarded() < count:
        pass

    proxy.close(time.monotonic() + WAIT_MS / 1000)

    assert [int.from_bytes(sink.sub.recv()[2:6], "big") for _ in range(count)] == list(
        range(count)
    )


def test_closing_ends_the_thread_and_closes_the_sockets(
    context: zmq.Context[zmq.Socket[bytes]], pair: PlainSockets
) -> None:
    proxy = ZmqProxyForwarder(context, pair, "to-be-closed")
    proxy.start()

    proxy.close(0)

    assert not proxy.thread.is_alive()
    assert pair.xsub.closed
    assert pair.xpub.closed


def test_a_forwarder_whose_thread_died_is_an_error_and_not_silence(
    context: zmq.Context[zmq.Socket[bytes]], pair: PlainSockets
) -> None:
    told = threading.Event()
    proxy = ZmqProxyForwarder(context, pair, "dying", told.set)
    proxy.start()

    with pytest.raises(PubSubError, match="forwarding has failed"):
        change(proxy, [(True, "not an address")])
    assert told.wait(WAIT_MS / 1000)
    with pytest.raises(PubSubError, match="forwarding has failed"):
        proxy.forwarded()
    proxy.close(0)
    assert pair.xpub.closed


def test_a_proxy_that_does_not_answer_is_an_error_and_not_a_wait(
    context: zmq.Context[zmq.Socket[bytes]],
    pair: PlainSockets,
) -> None:
    proxy = ZmqProxyForwarder(context, pair, "never-started")
    proxy.apply([])

    with pytest.raises(PubSubError, match="does not answer"):
        proxy.wait_applied(time.monotonic() + 0.1)
