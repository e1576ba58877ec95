"""When the publisher's socket gathers events into batches, on a clock of our own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from support.interrupts import Interrupted
from support.raw_sockets import events_of
from support.threads import WAIT_MS

from pubsub_common.net.contexts import terminate_context
from pubsub_common.protocol.batches import is_batch
from pubsub_common.protocol.events import PRIVATE_MARK, decode_ready_reply, ready_topic
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import EndConnection, PublisherCore, Send
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.topics.topic_state import (
    BATCH_BYTES,
    MAX_BATCH_AGE_NS,
    TopicState,
)

STREAK = 64


class Clock:
    """Advances by ``step_ns`` at each reading."""

    def __init__(self) -> None:
        self.now_ns = 10**18
        self.step_ns = 1000

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


class Bench:
    """An event socket, and a subscriber of all its topics that is ready."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        blocking: bool = False,
        queue_limit: int = 100_000,
    ) -> None:
        self.clock = Clock()
        self.steady = Clock()
        self.topic = TopicState("A")
        self.woken = 0
        self.core = PublisherCore({"A": self.topic})
        self.event_socket = EventSocket(
            context,
            {"A": self.topic},
            self.core,
            self.clock,
            QueueBounds(queue_limit),
            blocking=blocking,
            stopped=lambda: False,
            monotonic_ns=self.steady,
        )
        self.core.address, self.core.session = "127.0.0.1:1", 7
        self.event_socket.wake = self._wake
        port = self.event_socket.socket.bind_to_random_port("tcp://127.0.0.1")
        self.subscriber = context.socket(zmq.SUB)
        self.subscriber.rcvtimeo = WAIT_MS
        self.subscriber.rcvhwm = 0
        self.subscriber.subscribe(b"A\0")
        self.subscriber.connect(f"tcp://127.0.0.1:{port}")
        self.ask(5)
        self.send = self.event_socket.sender(self.topic)

    def _wake(self) -> None:
        self.woken += 1

    def ask(self, session: int) -> int:
        """The sequence number that a ready answer promises."""
        self.subscriber.subscribe(ready_topic("A", session))
        while True:
            self.event_socket.socket.poll(10)
            self.event_socket.serve([])
            if self.subscriber.poll(10):
                answered = decode_ready_reply(self.subscriber.recv())
                if answered is not None:
                    return answered[1].sequence

    def frames(self, events: int) -> list[bytes]:
        """The frames that hold the next ``events`` events."""
        found: list[bytes] = []
        while sum(len(events_of(frame)) for frame in found) < events:
            frame = self.subscriber.recv()
            if not frame.startswith(PRIVATE_MARK):  # an answer to an earlier request
                found.append(frame)
        return found

    def close(self) -> None:
        self.subscriber.close(linger=0)
        self.event_socket.close(0)


@contextlib.contextmanager
def new_bench(**options: Any) -> Iterator[Bench]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    bench = Bench(context, **options)
    try:
        yield bench
    finally:
        bench.close()
        terminate_context(context)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with new_bench() as bench:
        yield bench


def batched(frames: list[bytes]) -> list[int]:
    """How many events each frame has."""
    return [len(events_of(frame)) for frame in frames]


def numbers(frames: list[bytes]) -> list[int]:
    return [event.sequence for frame in frames for event in events_of(frame)]


def test_after_a_pause_each_event_is_sent_at_once(bench: Bench) -> None:
    bench.clock.step_ns = 30_000
    for _ in range(200):
        bench.send(b"x")

    frames = bench.frames(200)

    assert len(frames) == 200
    assert not any(is_batch(frame, 1) for frame in frames)


def test_a_streak_is_gathered_and_keeps_numbers_and_stamps(bench: Bench) -> None:
    stamps = [bench.send(b"%d" % number) for number in range(1000)]
    bench.event_socket.flush(bench.topic)

    frames = bench.frames(1000)
    events = [event for frame in frames for event in events_of(frame)]

    assert batched(frames[:STREAK]) == [1] * STREAK
    assert max(batched(frames)) > 1
    assert len(frames) < 200
    assert numbers(frames) == list(range(1000))
    assert [event.published_ns for event in events] == stamps
    assert [event.payload for event in events] == [b"%d" % n for n in range(1000)]


def test_the_time_that_sending_takes_is_not_a_pause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = bench.event_socket._send

    def slowly(frame: bytes, flags: int) -> None:
        bench.clock.now_ns += 50_000
        send(frame, flags)

    monkeypatch.setattr(bench.event_socket, "_send", slowly)
    publish = bench.event_socket.sender(bench.topic)
    for _ in range(1000):
        publish(b"x")
    bench.event_socket.flush(bench.topic)

    frames = bench.frames(1000)

    # After those before a streak all are gathered; none leaves alone in between.
    assert batched(frames).count(1) <= STREAK + 2
    assert len(frames) < 200


def test_the_rest_of_a_streak_leaves_when_it_is_old_enough(bench: Bench) -> None:
    for _ in range(STREAK + 10):
        bench.send(b"x")
    bench.frames(STREAK + 1)  # the first one came after a pause

    again_s = bench.event_socket.serve([])

    assert again_s == MAX_BATCH_AGE_NS / 1e9
    assert not bench.subscriber.poll(50)
    bench.clock.now_ns -= 3600 * 10**9  # somebody sets it
    bench.steady.now_ns += MAX_BATCH_AGE_NS
    bench.event_socket.serve([])
    assert numbers(bench.frames(9))[0] == STREAK + 1
    assert bench.event_socket.serve([]) != MAX_BATCH_AGE_NS / 1e9


def test_an_open_batch_wakes_the_control_thread_once(bench: Bench) -> None:
    for _ in range(STREAK + 2):
        bench.send(b"x")
    before = bench.woken
    for _ in range(20):
        bench.send(b"x")

    assert bench.woken == before
    assert bench.topic.gathered


def test_events_of_some_kilobytes_are_gathered_too(bench: Bench) -> None:
    for _ in range(STREAK + 20):
        bench.send(bytes(60_000))

    # As few as fill 256 KiB.
    assert batched(bench.frames(STREAK + 9)) == [1] * (STREAK + 1) + [4, 4]


@pytest.mark.parametrize("larger", [4_000, 60_000])
def test_larger_events_do_not_fill_a_batch_that_a_small_one_began(
    bench: Bench, larger: int
) -> None:
    for size in [8] * (STREAK + 1) + [8, *[larger] * 80]:
        bench.send(bytes(size))
    bench.event_socket.flush(bench.topic)

    frames = bench.frames(STREAK + 1 + 81)
    assert numbers(frames) == list(range(STREAK + 1 + 81))
    assert max(map(len, frames)) < 1.1 * BATCH_BYTES


def test_events_that_are_gathered_in_two_ways_do_not_make_a_larger_message(
    bench: Bench,
) -> None:
    bench.clock.step_ns = 100
    sizes = [8] * (STREAK + 2) + [1024] * 200
    for size in sizes:
        bench.send(bytes(size))
    for size in (100_000, 100_000):
        bench.event_socket.gather(bench.topic, bytes(size))
    for _ in range(20):
        bench.send(bytes(1024))
    bench.event_socket.flush(bench.topic)

    count = len(sizes) + 22
    frames = bench.frames(count)
    assert numbers(frames) == list(range(count))
    assert max(map(len, frames)) < 1.1 * BATCH_BYTES


def send_all(bench: Bench, sizes: list[int]) -> threading.Thread:
    """Send events of these sizes, in a thread, since they may have to wait for room."""

    def work() -> None:
        for size in sizes:
            stamp_ns = bench.send(bytes(size))
            if stamp_ns < 0:
                event = -stamp_ns, bytes(size)
                assert bench.event_socket.send_in_turn(bench.topic, [event])
            assert stamp_ns
        bench.event_socket.flush(bench.topic)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "sizes",
    [
        [50_000] * 400,
        [50_000] * 200 + [1] * 300 + [50_000] * 200,
        [8] * 300 + [20_000] * 300,
        [50_000, 8] * 200,
    ],
    ids=["large", "small between", "small first", "mixed"],
)
@pytest.mark.parametrize("step_ns", [1000, 30_000])
def test_under_block_nothing_is_lost_whatever_the_sizes(
    sizes: list[int], step_ns: int
) -> None:
    with new_bench(blocking=True, queue_limit=1000) as bench:
        bench.clock.step_ns = step_ns
        bench.subscriber.rcvhwm = 4  # for a connection that is made now
        port = bench.event_socket.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        bench.subscriber.disconnect(port)
        bench.subscriber.connect(port)
        bench.ask(6)
        thread = send_all(bench, sizes)

        assert numbers(bench.frames(len(sizes))) == list(range(len(sizes)))
        thread.join()


def test_the_control_thread_rarely_checks_a_socket_that_is_sending(
    bench: Bench,
) -> None:
    bench.send(b"x")
    with bench.event_socket.lock:
        found = []
        thread = threading.Thread(
            target=lambda: found.append(bench.event_socket.serve([]))
        )
        thread.start()
        thread.join()
    for _ in range(STREAK + 10):
        bench.send(b"x")
    with bench.event_socket.lock:
        thread = threading.Thread(
            target=lambda: found.append(bench.event_socket.serve([]))
        )
        thread.start()
        thread.join()

    alone, gathering = found
    assert gathering == MAX_BATCH_AGE_NS / 1e9
    assert alone is not None
    assert alone > gathering


@pytest.mark.parametrize("how", ["pause", "large", "batch", "number"])
def test_what_comes_after_a_streak_leaves_after_it(bench: Bench, how: str) -> None:
    for _ in range(STREAK + 10):
        bench.send(b"x")
    follow: dict[str, Callable[[], object]] = {
        "pause": lambda: bench.send(b"y"),
        "large": lambda: bench.send(bytes(140_000)),
        "batch": lambda: bench.event_socket.send_batch(bench.topic, [b"y"]),
        "number": lambda: bench.event_socket.reserve_number(bench.topic, 1, b""),
    }
    bench.clock.now_ns += 30_000 * (how == "pause")

    follow[how]()

    events = STREAK + 10 + (how != "number")
    assert numbers(bench.frames(events)) == list(range(events))
    assert bench.topic.next_number == STREAK + 11


def test_a_ready_answer_promises_events_that_still_wait(bench: Bench) -> None:
    for _ in range(STREAK + 11):
        bench.send(b"x")
    bench.frames(STREAK + 1)
    waiting = len(bench.topic.gathered)
    assert waiting

    assert bench.ask(6) == STREAK + 11 - waiting


def test_at_the_end_all_that_waits_is_sent(bench: Bench) -> None:
    for _ in range(STREAK + 10):
        bench.send(b"x")
    bench.event_socket.refuse_events()

    assert bench.send(b"late") == 0
    bench.event_socket.flush_all(1.0)

    assert numbers(bench.frames(STREAK + 10)) == list(range(STREAK + 10))
    assert not bench.topic.gathered


def test_a_request_during_an_answer_is_answered_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is a send, after which the descriptor may tell of nothing."""
    event_socket, tick = bench.event_socket, bench.core.tick

    def tick_while_another_asks(now: float) -> list[Send | EndConnection]:
        monkeypatch.setattr(bench.core, "tick", tick)
        bench.subscriber.subscribe(ready_topic("A", 12))
        assert event_socket.socket.poll(WAIT_MS)
        return tick(now)

    monkeypatch.setattr(bench.core, "tick", tick_while_another_asks)
    bench.subscriber.subscribe(ready_topic("A", 11))
    assert event_socket.socket.poll(WAIT_MS)
    assert event_socket.serve([]) == 0.0
    event_socket.serve([])

    for session in (11, 12):
        assert bench.subscriber.recv().startswith(ready_topic("A", session))


# Exceptions from outside


class Fault:
    """Has the socket's sends fail as told: before or after libzmq has the frame, or for
    lack of room."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.next: list[str] = []
        self._send = bench.event_socket._send
        monkeypatch.setattr(bench.event_socket, "_send", self.send)

    def send(self, frame: bytes, flags: int) -> None:
        fault = self.next.pop(0) if self.next else ""
        if fault == "no room":
            raise zmq.Again
        if fault == "before":
            raise Interrupted
        self._send(frame, flags)
        if fault == "after":
            raise Interrupted


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("full", [0, 1, 3])
def test_what_is_in_doubt_is_sent_again_under_its_numbers_as_soon_as_there_is_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str, full: int
) -> None:
    faults = Fault(bench, monkeypatch)
    faults.next = [fault] + ["no room"] * full
    bench.clock.step_ns = 30_000
    with pytest.raises(Interrupted):
        bench.send(b"first")

    for _ in range(full):
        assert bench.send(b"refused") < 0
    assert bench.send(b"second") > 0

    frames = bench.frames(2 + (fault == "after"))
    found = [
        (event.sequence, event.payload) for each in frames for event in events_of(each)
    ]
    assert found == [(0, b"first")] * (1 + (fault == "after")) + [(1, b"second")]
    assert bench.topic.next_sequence == 2


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_batch_in_doubt_keeps_what_was_gathered_since(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    for number in range(STREAK + 6):
        bench.send(b"%d" % number)
    gathered = len(bench.topic.gathered)
    faults = Fault(bench, monkeypatch)
    faults.next = [fault]
    with pytest.raises(Interrupted):
        bench.event_socket.flush(bench.topic)

    assert bench.event_socket.flush(bench.topic)

    events = STREAK + 6
    again = gathered if fault == "after" else 0
    found = numbers(bench.frames(events + again))
    assert sorted(set(found)) == list(range(events))
    assert len(found) == events + again
    assert not bench.topic.gathered


def test_what_no_thread_completes_the_control_thread_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Fault(bench, monkeypatch)
    faults.next = ["after"]
    with pytest.raises(Interrupted):
        bench.send(b"first")
    assert bench.topic.next_sequence == 0

    bench.event_socket.serve([])

    assert bench.topic.next_sequence == 1
