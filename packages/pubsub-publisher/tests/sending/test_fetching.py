"""Publishing from quick sources: many items in one step, and nothing else differs."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.interrupts import Interrupted, dropped_in_finalizers
from support.raw_sockets import RawSubscriber, events_of
from support.threads import ended, in_thread

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.events import PRIVATE_MARK, Event
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher
from pubsub_publisher.sending import quick_sources
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.fetched import Fetch
from pubsub_publisher.topics.topic_state import TopicState

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]

END = b"the end"


@pytest.fixture
def always_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source is quick, from its first items on."""
    monkeypatch.setattr(quick_sources, "LOOK_AFTER", 2)
    monkeypatch.setattr(quick_sources, "QUICK_NS", 10**12)


def ready(publisher: Publisher, subscribe: Subscribe, *topics: str) -> RawSubscriber:
    subscriber = subscribe(publisher, *topics, session=5, queue_limit=100_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    return subscriber


def next_frame(subscriber: RawSubscriber) -> list[Event]:
    while (frame := subscriber.socket.recv()).startswith(PRIVATE_MARK):
        pass
    return events_of(frame)


def until_end(subscriber: RawSubscriber) -> list[Event]:
    """The events before the last one, in order and without a gap."""
    found: list[Event] = []
    while not found or found[-1].payload != END:
        found += next_frame(subscriber)
    for topic in {event.topic for event in found}:
        numbers = [event.sequence for event in found if event.topic == topic]
        assert numbers == list(range(len(numbers)))
    return found[:-1]


def fetches(publisher: Publisher) -> list[Any]:
    return publisher._runtime.topics.states["A"].fetched


def test_a_quick_generator_travels_in_full_messages(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", clock="monotonic", queue_limit=100_000)
    subscriber = ready(publisher, subscribe, "A")
    payloads = [b"%d" % number for number in range(10_000)]
    yielded_ns: list[int] = []

    def source() -> Iterator[bytes]:
        for payload in payloads:
            yielded_ns.append(time.monotonic_ns())
            yield payload

    assert publisher.publish_events(source()) == len(payloads)

    assert not fetches(publisher)
    publisher.publish_event("A", END)
    found: list[Event] = []
    messages = 0
    while not found or found[-1].payload != END:
        found += next_frame(subscriber)
        messages += 1
    assert [event.payload for event in found[:-1]] == payloads
    assert [event.sequence for event in found] == list(range(len(found)))
    assert messages < len(payloads) // 10
    # Each was stamped between its own time and that of the next one.
    stamps_ns = [event.published_ns for event in found]
    for before_ns, stamp_ns, after_ns in zip(
        yielded_ns, stamps_ns, [*yielded_ns[1:], 2**63], strict=False
    ):
        assert before_ns <= stamp_ns <= after_ns


def test_what_a_quick_source_gave_does_not_wait_for_a_pause_of_it(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", queue_limit=100_000)
    subscriber = ready(publisher, subscribe, "A")
    arrived = threading.Event()

    def source() -> Iterator[bytes]:
        for number in range(100):
            if number in (50, 51, 90):
                # Only when all before has arrived is there more.
                assert arrived.wait(WAIT_S)
                arrived.clear()
            yield b"%d" % number
        yield END

    thread = in_thread(lambda: publisher.publish_events(source()))
    found: list[Event] = []
    while not found or found[-1].payload != END:
        found += next_frame(subscriber)
        if len(found) in (50, 51, 90):
            arrived.set()

    assert ended(thread)
    assert [event.payload for event in found[:-1]] == [b"%d" % n for n in range(100)]
    assert [event.sequence for event in found] == list(range(101))


def test_an_error_of_a_quick_source_comes_after_the_items_before_it(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", queue_limit=100_000)
    subscriber = ready(publisher, subscribe, "A")

    def source() -> Iterator[Any]:
        for number in range(100):
            yield b"%d" % number
        yield "text"
        yield b"last"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publisher.publish_events(source())

    publisher.publish_event("A", END)
    payloads = [b"%d" % number for number in range(100)]
    found = [event.payload for event in until_end(subscriber)]
    assert found == [*payloads, b"text", b"last"]
    wait_for(lambda: not fetches(publisher), "the end of the fetch")


def test_a_wrong_item_of_a_quick_source_ends_the_call(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", queue_limit=100_000)
    subscriber = ready(publisher, subscribe, "A")
    items: list[Any] = [b"%d" % number for number in range(100)]

    with pytest.raises(ConfigError, match="not None"):
        publisher.publish_events(iter([*items, None, b"after"]))

    publisher.publish_event("A", END)
    assert [event.payload for event in until_end(subscriber)] == items


def test_a_source_may_publish_and_its_events_keep_their_order(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", queue_limit=100_000)
    subscriber = ready(publisher, subscribe, "A")
    order: list[bytes] = []

    def source() -> Iterator[bytes]:
        for number in range(2000):
            for _ in range(number % 4):
                order.append(b"%d by itself" % len(order))
                publisher.publish_event("A", order[-1])
            if number % 100 == 7:
                order.append(b"%d in a list" % len(order))
                publisher.publish_events([order[-1]])
            order.append(b"%d" % len(order))
            yield order[-1]

    assert publisher.publish_events(source()) == 2000

    publisher.publish_event("A", END)
    assert [event.payload for event in until_end(subscriber)] == order


ITEMS = st.one_of(
    st.binary(max_size=5),
    st.text(max_size=5),
    st.binary(max_size=5).map(bytearray),
    st.sampled_from([bytes(20_000), bytes(40_000), bytes(70_000)]),
    st.tuples(st.sampled_from("AB"), st.binary(max_size=5)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(ITEMS, max_size=60))
def test_a_source_is_as_good_as_a_list(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    always_quick: None,
    items: list[Any],
) -> None:
    publisher = new_publisher("A", "B", overflow="block")
    subscriber = ready(publisher, subscribe, "A", "B")

    assert publisher.publish_events(iter(items), "A") == len(items)

    publisher.publish_event("B", END)
    found = until_end(subscriber)
    for topic in "AB":
        expected = [
            _bytes(item[1] if isinstance(item, tuple) else item)
            for item in items
            if (item[0] if isinstance(item, tuple) else "A") == topic
        ]
        assert [each.payload for each in found if each.topic == topic] == expected
    publisher.disconnect()
    subscriber.close()


def _bytes(payload: str | bytes | bytearray) -> bytes:
    return payload.encode() if isinstance(payload, str) else bytes(payload)


def test_interrupted_at_any_time_nothing_comes_twice_or_is_lost(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", queue_limit=1_000_000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=1_000_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    yielded: list[bytes] = []

    def source() -> Iterator[bytes]:
        for _ in range(20_000):
            yielded.append(b"%d" % len(yielded))
            yield yielded[-1]

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    last: list[bytes] = []
    try:
        with dropped_in_finalizers():
            for _ in range(60):
                with contextlib.suppress(Interrupted):
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.01))
                    publisher.publish_events(source())
                    signal.setitimer(signal.ITIMER_REAL, 0)
                last += yielded[-1:]
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    publisher.publish_event("A", END)
    wait_for(lambda: not fetches(publisher), "the end of the fetches")
    seen: dict[int, bytes] = {}
    while not seen or seen[max(seen)] != END:
        seen |= {event.sequence: event.payload for event in next_frame(subscriber)}
    found = [seen[number] for number in sorted(seen)][:-1]
    assert sorted(seen) == list(range(len(seen)))
    assert len(set(found)) == len(found)
    # The one that was being taken may be lost.
    assert set(yielded) - set(found) <= set(last)
    assert found == sorted(found, key=int)


def fetch_of(*items: Any) -> Fetch:
    """These items come at the times 1, 2, …"""
    return Fetch(iter(items), count(1).__next__)


def test_items_leave_a_fetch_once() -> None:
    fetch = fetch_of(b"a", b"b", b"c", b"d")
    fetched = fetch.fetched
    fetch.take(2)
    columns = fetched.whole(100)
    assert columns is not None
    fetch.take(1)

    columns.have_left()
    columns.have_left()

    assert (fetched.items, fetched.stamps_ns) == ([b"c"], [3])
    assert fetched.count == 2
    assert not fetched.ended
    del fetch
    assert fetched.ended


@pytest.mark.parametrize("items", [(b"a",), (b"a", "b"), (b"a", bytes(101))])
def test_unusual_items_are_no_whole_batch(items: tuple[Any, ...]) -> None:
    fetch = fetch_of(*items)
    fetch.take(9)

    assert fetch.fetched.whole(100) is None
    assert fetch.fetched.events(100) == [(1, b"a")]


def test_fetched_events_are_gathered_by_their_times() -> None:
    topic = TopicState("A")
    early: list[Stamped] = [(0, b"0"), (2, b"2")]
    topic.gathered += early
    fetch = fetch_of(b"1", b"3", "x", b"4")
    fetch.take(9)
    topic.fetched.append(fetch.fetched)

    topic.gather_fetched(fetch.fetched, 100)

    assert [payload for _, payload in topic.gathered] == [b"0", b"1", b"2", b"3"]
    assert (fetch.fetched.items, fetch.fetched.stamps_ns) == (["x", b"4"], [3, 4])
    assert topic.waits


def test_a_signal_handler_that_interrupts_a_wait_for_room_publishes_from_a_source(
    new_publisher: NewPublisher, subscribe: Subscribe, always_quick: None
) -> None:
    publisher = new_publisher("A", overflow="block", queue_limit=1)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    received: list[bytes] = []
    handled = threading.Event()

    def handler(*_: object) -> None:
        publisher.publish_events(b"handler %d" % number for number in range(20))
        handled.set()

    def receive() -> None:
        # Only then is there room.
        wait_for(lambda: publisher._runtime.events.waiting, "a wait for room")
        signal.raise_signal(signal.SIGUSR1)
        assert handled.wait(WAIT_S)
        while END not in received:
            received.extend(event.payload for event in next_frame(subscriber))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        thread = in_thread(receive)
        for _ in range(400):
            publisher.publish_event("A", bytes(100_000))
        publisher.publish_event("A", END)
        assert ended(thread)
    finally:
        signal.signal(signal.SIGUSR1, before)

    found = [payload for payload in received if payload.startswith(b"handler")]
    assert found == [b"handler %d" % number for number in range(20)]
