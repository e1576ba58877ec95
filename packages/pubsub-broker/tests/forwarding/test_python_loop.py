"""The forwarding loop that waits, over real sockets: it loses nothing, and always
handles connections."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
import zmq
from support.ports import free_port

from pubsub_broker.forwarding import draining
from pubsub_broker.forwarding.event_output import RETRY_S
from pubsub_broker.forwarding.python_loop import PythonForwarder
from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.testing import wait_for

WAIT_S = 60
TOPIC = b"A\0"
QUEUE = 10
# Together more than the buffers of sockets and kernel hold.
MANY, BULK = 1500, bytes(20_000)


class Source:
    """A publisher's data port."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.xpub = context.socket(zmq.XPUB)
        self.xpub.set_hwm(0)
        self.xpub.rcvtimeo = WAIT_S * 1000
        self.address = f"127.0.0.1:{self.xpub.bind_to_random_port('tcp://127.0.0.1')}"

    def wait_for(self, subscription: bytes) -> None:
        while self.xpub.recv() != subscription:
            pass

    def send(self, *numbers: int, filling: bytes = b"") -> None:
        for number in numbers:
            self.xpub.send(TOPIC + number.to_bytes(4, "big") + filling)


class Sink:
    """A subscriber with small queues."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        port: int,
        topic: bytes = TOPIC,
        *,
        slow: bool = False,
    ) -> None:
        self.sub = context.socket(zmq.SUB)
        self.sub.rcvhwm = 1 if slow else 0
        if slow:
            self.sub.rcvbuf = 65_536
        self.sub.rcvtimeo = WAIT_S * 1000
        self.sub.subscribe(topic)
        self.sub.connect(f"tcp://127.0.0.1:{port}")

    def numbers(self, count: int) -> list[int]:
        return [int.from_bytes(self.sub.recv()[2:6], "big") for _ in range(count)]


class Bench:
    """A forwarder with a source, and subscribers."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.context = context
        self.pair = PlainSockets(context, QueueBounds(QUEUE), blocking=True)
        self.port = free_port()
        self.pair.bind("127.0.0.1", self.port)
        self.failed = threading.Event()
        self.forwarder = PythonForwarder(self.pair, "blocking", self.failed.set)
        self.forwarder.start()
        self.source = Source(context)
        self.forwarder.apply([(True, self.source.address)])
        self.sent = 0
        self.markers = 0

    def sink(self, *, slow: bool = False) -> Sink:
        """A subscriber with a subscription that has arrived everywhere: subscriptions
        over one connection come in order, so a second, unique one shows it."""
        sink = Sink(self.context, self.port, slow=slow)
        self.markers += 1
        marker = b"marker %d" % self.markers
        sink.sub.subscribe(marker)
        self.source.wait_for(b"\1" + marker)
        return sink

    def hold_up(self) -> None:
        """Send more than all buffers hold, and wait until nothing moves."""
        self.source.send(*range(self.sent, self.sent + MANY), filling=BULK)
        self.sent += MANY
        wait_for(self.is_stuck)

    def is_stuck(self) -> bool:
        """Whether one message has been held for a while, and not only because libzmq's
        thread was about to pass on others."""
        since = self.forwarder.held_since
        return since is not None and time.monotonic() - since > 0.3

    def close(self, within_s: float = 0.0) -> None:
        self.forwarder.close(time.monotonic() + within_s)


@pytest.fixture
def bench(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Bench]:
    bench = Bench(context)
    yield bench
    bench.close()


def test_events_are_forwarded_in_order_and_counted(bench: Bench) -> None:
    sink = bench.sink()

    bench.source.send(*range(5000))

    assert sink.numbers(5000) == list(range(5000))
    # The last ones may arrive before they are counted.
    wait_for(lambda: bench.forwarder.forwarded() == 5000)
    wait_for(lambda: bench.forwarder.held_since is None)


def test_it_wakes_for_each_single_event(bench: Bench) -> None:
    sink = bench.sink()

    for number in range(300):
        bench.source.send(number)
        assert sink.numbers(1) == [number]


def test_a_message_of_several_frames_stays_whole(bench: Bench) -> None:
    sink = bench.sink()

    bench.source.xpub.send_multipart([TOPIC, b"B\0", b"more"])
    bench.source.send(1)

    assert sink.sub.recv_multipart() == [TOPIC, b"B\0", b"more"]
    assert sink.numbers(1) == [1]


def test_nothing_is_lost_for_one_that_reads_late(bench: Bench) -> None:
    sink = bench.sink(slow=True)

    bench.hold_up()

    assert bench.forwarder.forwarded() < bench.sent
    assert sink.numbers(bench.sent) == list(range(bench.sent))
    wait_for(lambda: bench.forwarder.forwarded() == bench.sent)
    wait_for(lambda: bench.forwarder.held_since is None)


def test_it_can_be_held_up_again_and_again(bench: Bench) -> None:
    sink = bench.sink(slow=True)
    read = 0
    for _ in range(3):
        bench.hold_up()
        assert sink.numbers(bench.sent - read) == list(range(read, bench.sent))
        read = bench.sent


def test_subscriptions_pass_while_it_waits(bench: Bench) -> None:
    bench.sink(slow=True)
    bench.hold_up()

    other = Sink(bench.context, bench.port, b"B\0")
    bench.source.wait_for(b"\1B\0")
    other.sub.unsubscribe(b"B\0")
    bench.source.wait_for(b"\0B\0")

    wait_for(lambda: bench.forwarder.held_since is not None)


def test_publishers_are_connected_while_it_waits(bench: Bench) -> None:
    bench.sink(slow=True)
    bench.hold_up()
    late = Source(bench.context)

    bench.forwarder.apply([(True, late.address)])

    late.wait_for(b"\1" + TOPIC)
    wait_for(lambda: bench.forwarder.held_since is not None)


def test_a_publisher_that_comes_back_while_it_waits_learns_of_subscriptions(
    bench: Bench,
) -> None:
    bench.sink(slow=True)
    bench.hold_up()
    first = Source(bench.context)
    bench.forwarder.apply([(True, first.address)])
    first.wait_for(b"\1" + TOPIC)
    first.xpub.close(linger=0)

    second = bench.context.socket(zmq.XPUB)
    second.rcvtimeo = WAIT_S * 1000

    def bound() -> bool:  # once libzmq's thread has closed the first
        with contextlib.suppress(zmq.ZMQError):
            second.bind(f"tcp://{first.address}")
            return True
        return False

    wait_for(bound)

    assert second.recv() == b"\1" + TOPIC
    wait_for(lambda: bench.forwarder.held_since is not None)


def test_what_a_publisher_sent_before_it_left_arrives_however_long_it_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = bench.sink(slow=True)
    bench.hold_up()
    monkeypatch.setattr(draining, "DETACH_GRACE_S", 0.02)

    bench.forwarder.apply([(False, bench.source.address)])
    wait_for(bench.pair.detach_due)
    first = bench.pair.detach_due()
    assert first is not None
    # The grace time is over, many times.
    wait_for(lambda: (bench.pair.detach_due() or 0) > first + 0.2)
    monkeypatch.setattr(draining, "DETACH_GRACE_S", 30.0)
    wait_for(lambda: (bench.pair.detach_due() or 0) > first + 10)

    assert sink.numbers(bench.sent) == list(range(bench.sent))


def test_one_that_dies_is_not_waited_for(bench: Bench) -> None:
    slow, quick = bench.sink(slow=True), bench.sink()
    bench.hold_up()

    slow.sub.close(linger=0)

    assert quick.numbers(bench.sent) == list(range(bench.sent))


def test_closing_gives_up_what_is_held(bench: Bench) -> None:
    bench.sink(slow=True)
    bench.hold_up()

    bench.close()

    assert bench.pair.xpub.closed
    assert bench.pair.xsub.closed
    assert not bench.forwarder.thread.is_alive()


def test_closing_lets_out_what_was_accepted(bench: Bench) -> None:
    sink = bench.sink(slow=True)
    bench.hold_up()
    closing = threading.Thread(target=bench.close, args=[WAIT_S])
    closing.start()
    count = bench.forwarder.forwarded()

    assert sink.numbers(count) == list(range(count))

    closing.join()


def test_a_thread_that_fails_says_so(bench: Bench) -> None:
    bench.forwarder.apply([(True, "not an address")])

    assert bench.failed.wait(WAIT_S)
    assert isinstance(bench.forwarder.error, zmq.ZMQError)


def test_it_does_not_spin_while_it_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.sink(slow=True)
    bench.hold_up()
    turns = []
    retry = bench.pair.retry

    def counting() -> bool:
        turns.append(time.monotonic())
        return retry()

    monkeypatch.setattr(bench.pair, "retry", counting)
    wait_for(lambda: len(turns) > 25)

    # On any machine: this many turns take at least this long.
    assert turns[-1] - turns[0] > 0.5 * RETRY_S * 25
