"""Exceptions from outside, at any line and at any time: nothing hangs, no number is used twice,
and accepted events arrive once."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.fake_broker import FakeBroker
from support.interrupts import Interrupted, interrupted_at
from support.raw_sockets import RawSubscriber, events_of
from support.threads import ended, in_thread

import pubsub_common
import pubsub_publisher
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.events import PRIVATE_MARK
from pubsub_common.protocol.messages import Disconnect, Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher
from pubsub_publisher.sending import quick_sources

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]

END = b"the end"


class Clock:
    """Advances by ``step_ns`` at each reading."""

    def __init__(self, step_ns: int) -> None:
        self.now_ns = 10**18
        self.step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


def received(subscriber: RawSubscriber) -> list[tuple[int, bytes]]:
    """Numbers and payloads of the events up to the end, without those that came again."""
    found: list[tuple[int, bytes]] = []
    seen: dict[int, bytes] = {}
    while not found or found[-1][1] != END:
        frame = subscriber.socket.recv()
        if frame.startswith(PRIVATE_MARK):
            continue
        for event in events_of(frame):
            if event.sequence in seen:
                assert seen[event.sequence] == event.payload, "a number was used twice"
            else:
                seen[event.sequence] = event.payload
                found.append((event.sequence, event.payload))
    return found


def check(subscriber: RawSubscriber, accepted: list[bytes]) -> None:
    """All accepted events arrived once, and the numbers have no gap."""
    found = received(subscriber)
    assert [number for number, _ in found] == list(range(len(found)))
    payloads = [payload for _, payload in found]
    assert len(payloads) == len(set(payloads)), "an event was delivered twice"
    assert set(accepted) <= set(payloads), "an accepted event was lost"
    order = {payload: place for place, payload in enumerate(payloads)}
    places = [order[payload] for payload in accepted]
    assert places == sorted(places)


def in_another_thread(publisher: Publisher, payload: bytes) -> None:
    thread = in_thread(lambda: publisher.publish_event("A", payload))
    assert ended(thread), "a lock stays taken"


@pytest.fixture
def stepping(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of publishers; by default all calls are one streak."""
    clock = Clock(1000)
    monkeypatch.setattr("pubsub_publisher.runtime.clock_ns", lambda _name: clock)
    return clock


def interrupt_each_line(
    publisher: Publisher, call: Callable[[Callable[[bytes], bytes]], object]
) -> list[bytes]:
    """``call`` publishes payloads, which it is to have named by the function that it is
    given. Interrupts it at each of its lines in turn, until it runs to its end; returns
    the accepted payloads."""
    accepted: list[bytes] = []
    line = 0
    while True:
        line += 1
        named: list[bytes] = []

        def name(text: bytes, named: list[bytes] = named, line: int = line) -> bytes:
            named.append(b"%d %s" % (line, text))
            return named[-1]

        def call_and_count(name: Callable[[bytes], bytes] = name) -> None:
            call(name)

        interrupted = interrupted_at(
            line, call_and_count, pubsub_publisher, pubsub_common
        )
        if not interrupted:
            accepted += named
        other = b"%d of another thread" % line
        in_another_thread(publisher, other)
        accepted.append(other)
        if not interrupted:
            return accepted


@pytest.mark.parametrize(
    ("step_ns", "size", "options"),
    [
        (1_000_000, 8, {}),
        (1_000, 8, {}),
        (1_000, 20_000, {}),
        (1_000, 40_000, {}),
        (1_000_000, 8, {"history": 2}),
        (1_000, 8, {"history": 300, "history_bytes": 50}),
        (1_000, 8, {"overflow": "block"}),
    ],
    ids=[
        "alone",
        "streak",
        "large streak",
        "large",
        "history",
        "streak history",
        "block",
    ],
)
def test_publish_event_interrupted_at_any_line(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    stepping: Clock,
    step_ns: int,
    size: int,
    options: dict[str, Any],
) -> None:
    stepping.step_ns = step_ns
    publisher = new_publisher("A", queue_limit=100_000, **options)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=100_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    before = [b"before %d" % number for number in range(70)]
    for payload in before:
        publisher.publish_event("A", payload)

    accepted = interrupt_each_line(
        publisher,
        lambda name: publisher.publish_event("A", name(b"").ljust(size, b".")),
    )

    publisher.publish_event("A", END)
    check_padded(subscriber, before + accepted, size)


def check_padded(subscriber: RawSubscriber, accepted: list[bytes], size: int) -> None:
    padded = [
        payload.ljust(size, b".") if payload.endswith(b" ") else payload
        for payload in accepted
    ]
    check(subscriber, padded)


@pytest.mark.parametrize("kind", ["list", "generator", "quick", "mixed", "pairs"])
def test_publish_events_interrupted_at_any_line(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind in ("quick", "mixed"):  # the source is quick after its first event
        monkeypatch.setattr(quick_sources, "LOOK_AFTER", 1)
        monkeypatch.setattr(quick_sources, "QUICK_NS", 10**12)
    publisher = new_publisher("A", queue_limit=100_000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=100_000)
    publisher.wait_for_subscribers(1, WAIT_S)

    def call(name: Callable[[bytes], bytes]) -> None:
        count = 7 if kind == "quick" else 3
        payloads = [name(b"%d" % number) for number in range(count)]
        if kind == "list":
            publisher.publish_events(payloads)
        elif kind in ("generator", "quick"):
            publisher.publish_events(payload for payload in payloads)
        elif kind == "mixed":
            several = payloads[0], payloads[1].decode(), payloads[2]
            publisher.publish_events(each for each in several)
        else:
            publisher.publish_events([("A", payload) for payload in payloads])

    accepted = interrupt_each_line(publisher, call)

    publisher.publish_event("A", END)
    check(subscriber, accepted)


def test_a_reserved_number_interrupted_at_any_line(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", queue_limit=100_000, history=5)
    numbers: list[int] = []
    line = 0

    def call() -> None:
        frame = publisher.generate_publish_event()
        numbers.extend(event.sequence for event in events_of(frame))

    while interrupted_at(line := line + 1, call, pubsub_publisher, pubsub_common):
        in_another_thread(publisher, b"x")

    assert len(numbers) == len(set(numbers))


def test_disconnect_interrupted_at_any_line(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    line, interrupted = 0, True
    while interrupted:
        line += 1
        publisher = new_publisher("A", linger_s=WAIT_S)
        subscriber = subscribe(publisher, "A", session=line)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", END)
        before = len(broker.of(Disconnect))

        interrupted = interrupted_at(
            line, publisher.disconnect, pubsub_publisher, pubsub_common
        )

        assert ended(in_thread(publisher.disconnect))
        assert received(subscriber) == [(0, END)]
        subscriber.close()
        assert len(broker.farewells(before + 1)) == before + 1
    assert len(broker.of(Disconnect)) == line


def test_add_topics_interrupted_at_any_line(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    line = 0
    while interrupted_at(
        line := line + 1,
        lambda: publisher.add_topics([f"T{line}"]),
        pubsub_publisher,
        pubsub_common,
    ):
        assert ended(in_thread(lambda: publisher.add_topics([f"other{line}"])))
        assert f"other{line}" in broker.of(Register)[-1].topics
    publisher.publish_event(f"T{line}", b"x")


def test_a_wait_for_room_interrupted_at_any_line(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", overflow="block", queue_limit=1)
    publisher._runtime.events.socket.sndtimeo = 0
    subscriber = subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    accepted: list[bytes] = []
    events, topic = publisher._runtime.events, publisher._runtime.topics.states["A"]

    def fill() -> None:
        """Leave no room, as far as it is known: the kernel may make some later."""
        while events.try_send(topic, [(1, b"%d".ljust(50_000, b".") % len(accepted))]):
            accepted.append(b"%d".ljust(50_000, b".") % len(accepted))

    for line in range(1, 90):  # more than one turn of the wait has
        fill()
        payload = b"again %d" % line
        publish = functools.partial(publisher.publish_event, "A", payload)
        if not interrupted_at(line, publish, pubsub_publisher):
            accepted.append(payload)

    last = in_thread(lambda: publisher.publish_event("A", END))
    check(subscriber, accepted)
    assert ended(last)


def test_configure_interrupted_at_any_line(broker: FakeBroker) -> None:
    line, interrupted = 0, True
    while interrupted:
        publisher = Publisher(
            topics=["A"], broker_port=broker.port, bind_port=0, linger_s=0
        )
        line += 1
        interrupted = interrupted_at(
            line, publisher.configure, pubsub_publisher, pubsub_common
        )
        # It may have been done just before, or be ending by itself.
        assert ended(in_thread(publisher.disconnect))

    wait_for(
        lambda: len(broker.of(Disconnect)) == len(broker.of(Register)), "farewells"
    )


# Signal handlers


@pytest.mark.parametrize("step_ns", [1_000, 1_000_000])
@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_a_signal_handler_publishes_at_any_line(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    stepping: Clock,
    step_ns: int,
    overflow: str,
) -> None:
    stepping.step_ns = step_ns
    publisher = new_publisher("A", queue_limit=100_000, overflow=overflow)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=100_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    expected = {END}
    line, interrupted = 0, True
    for _ in range(70):
        publisher.publish_event("A", b"before")

    while interrupted:
        line += 1
        payload = b"%d" % line

        def handle(payload: bytes = payload) -> None:
            publisher.publish_event("A", b"first in handler " + payload)
            publisher.publish_event("A", b"second in handler " + payload)

        interrupted = interrupted_at(
            line,
            functools.partial(publisher.publish_event, "A", payload),
            pubsub_publisher,
            handler=handle,
        )
        expected.add(payload)
        if interrupted:
            expected |= {b"%s in handler " % n + payload for n in (b"first", b"second")}

    # What a handler published in the midst of a send, the control thread sends.
    wait_for(lambda: not publisher._runtime.topics.states["A"].gathered, "all to leave")
    publisher.publish_event("A", END)
    found = [payload for _, payload in received(subscriber)]
    assert set(found) - {b"before"} == expected
    assert len(found) == len(expected) + 70


def left(broker: FakeBroker, count: int) -> bool:
    """Whether so many publishers have left."""
    return len(broker.of(Disconnect)) == count


def test_a_signal_handler_disconnects_at_any_line(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    line, interrupted = 0, True
    while interrupted:
        line += 1
        publisher = new_publisher("A", linger_s=WAIT_S)
        subscriber = subscribe(publisher, "A", session=line)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"before")
        before = len(broker.of(Disconnect))

        def publish(publisher: Publisher = publisher) -> None:
            with contextlib.suppress(PubSubError):  # it came first
                publisher.publish_event("A", b"x")

        interrupted = interrupted_at(
            line, publish, pubsub_publisher, handler=publisher.disconnect
        )

        if interrupted:
            wait_for(functools.partial(left, broker, before + 1), "the farewell")
        assert ended(in_thread(publisher.disconnect))
        assert subscriber.next_event().payload == b"before"
        subscriber.close()


def test_what_would_wait_for_itself_in_a_handler_is_one_error(
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher("A", "B")

    def turn_over() -> None:
        publisher.add_topics(["C"])
        publisher.remove_topics(["C"])

    calls: list[Callable[[], object]] = [
        lambda: publisher.wait_for_subscribers(0),
        publisher.generate_publish_event,
        turn_over,
    ]
    for call in calls:
        line, interrupted = 0, True
        refused: list[str] = []

        def handle(
            call: Callable[[], object] = call, refused: list[str] = refused
        ) -> None:
            try:
                call()
            except PubSubError as error:
                refused.append(str(error))

        while interrupted:
            line += 1
            interrupted = interrupted_at(
                line,
                lambda: publisher.publish_event("A", b"x"),
                pubsub_publisher,
                handler=handle,
            )
        assert refused
        assert all("in another thread" in text for text in refused)


@contextlib.contextmanager
def alarms(longest_s: float) -> Iterator[Callable[[], object]]:
    """Raises the next exception after up to this many seconds."""

    def raise_it(_number: int, _frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, raise_it)
    try:
        yield lambda: signal.setitimer(
            # Again, as the exception is lost if it comes in a finalizer.
            signal.ITIMER_REAL,
            random.uniform(longest_s / 20, longest_s),
            0.5,
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# An exception that comes in a finalizer is lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("pause_ns", [0, 50_000])
def test_publish_event_interrupted_at_any_time(
    new_publisher: NewPublisher, subscribe: Subscribe, pause_ns: int
) -> None:
    publisher = new_publisher("A", queue_limit=10_000_000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=10_000_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    accepted: list[int] = []
    number = interrupts = 0

    with alarms(0.002) as next_alarm:
        while interrupts < 500:
            try:
                next_alarm()
                while True:
                    number += 1
                    publisher.publish_event("A", b"%d" % number)
                    accepted.append(number)
                    for _ in range(pause_ns // 100):
                        pass
            except Interrupted:
                interrupts += 1

    assert ended(in_thread(lambda: publisher.publish_event("A", END)))
    check(subscriber, [b"%d" % each for each in accepted])
    assert ended(in_thread(publisher.disconnect))
