"""Missed events are recovered, and topics owned, in both models."""

from __future__ import annotations

import contextlib
import threading
import time

from pubsub_common.protocol.sequence import Gap
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

from .conftest import WAIT_S, System

# More than the kernel's buffers hold, so that a subscriber which does not read loses some.
PAYLOAD = b"." * 20_000
COUNT = 3000
QUEUE = 20


def take_until(subscriber: Subscriber, last: int) -> list[int]:
    """The received numbers, up to ``last``."""
    numbers: list[int] = []
    while not numbers or numbers[-1] < last:
        event = subscriber.receive(WAIT_S)
        assert event is not None, f"nothing after {numbers[-1:]}"
        numbers.append(event.sequence)
    return numbers


def lose_events(
    system: System, history: int, gaps: list[Gap], **options: object
) -> tuple[Subscriber, list[int]]:
    """The events of a subscriber that did not read while much was published."""
    system.broker(queue_limit=QUEUE)
    subscriber = system.subscriber(
        "A", queue_limit=QUEUE, on_gap=gaps.append, **options
    )
    publisher = system.publisher("A", queue_limit=QUEUE, history=history)
    publisher.wait_for_subscribers(1, WAIT_S)
    for _ in range(COUNT):
        publisher.publish_event("A", PAYLOAD)
    return subscriber, take_until(subscriber, COUNT - 1)


def test_what_a_slow_subscriber_missed_is_recovered_to_the_last_event(
    system: System,
) -> None:
    gaps: list[Gap] = []

    subscriber, numbers = lose_events(system, COUNT, gaps, recover=True)

    assert numbers == list(range(COUNT))
    counts = subscriber.counts()
    assert (counts.received, counts.lost, gaps) == (COUNT, 0, [])
    assert 0 < counts.recovered < COUNT


def test_what_is_no_longer_kept_is_lost_with_its_exact_range(system: System) -> None:
    gaps: list[Gap] = []

    subscriber, numbers = lose_events(system, 100, gaps, recover=True)

    lost = {number for gap in gaps for number in range(gap.first, gap.last + 1)}
    assert numbers == sorted(numbers)
    assert lost.isdisjoint(numbers)
    assert lost | set(numbers) == set(range(COUNT))
    assert numbers[-100:] == list(range(COUNT - 100, COUNT))
    assert subscriber.counts().lost == len(lost) > 0


def test_a_subscriber_that_does_not_recover_is_notified_of_losses(
    system: System,
) -> None:
    """The same without recovery: so the losses above are real."""
    gaps: list[Gap] = []
    system.broker(queue_limit=QUEUE)
    subscriber = system.subscriber("A", queue_limit=QUEUE, on_gap=gaps.append)
    publisher = system.publisher("A", queue_limit=QUEUE, history=COUNT)
    publisher.wait_for_subscribers(1, WAIT_S)
    for _ in range(COUNT):
        publisher.publish_event("A", PAYLOAD)
    publisher.disconnect()

    numbers: list[int] = []
    while len(numbers) + sum(gap.count for gap in gaps) < COUNT:
        event = subscriber.receive(1.0)
        numbers += [event.sequence] if event else []

    assert gaps
    assert subscriber.counts().recovered == 0


def test_earlier_events_are_received_by_a_subscriber_that_asks_for_them(
    system: System,
) -> None:
    system.broker()
    publisher = system.publisher("A", history=50)
    for number in range(80):
        publisher.publish_event("A", b"%d" % number)
    subscriber = system.subscriber("A", start="history")
    first = subscriber.receive(WAIT_S)
    assert first is not None
    assert first.sequence == 30
    publisher.publish_events([b"%d" % number for number in range(80, 90)])

    assert take_until(subscriber, 89) == list(range(31, 90))
    counts = subscriber.counts()
    assert (counts.received, counts.lost) == (60, 0)
    assert counts.recovered > 0  # the end of it may have been on its way


def test_a_publisher_that_leaves_at_once_still_gives_what_is_missing(
    system: System,
) -> None:
    system.broker(queue_limit=QUEUE)
    subscriber = system.subscriber("A", queue_limit=QUEUE, recover=True)
    publisher = system.publisher("A", queue_limit=QUEUE, history=COUNT)
    publisher.wait_for_subscribers(1, WAIT_S)

    for _ in range(COUNT):
        publisher.publish_event("A", PAYLOAD)
    received: list[int] = []
    # It waits for requests, so another thread must read meanwhile.
    thread = threading.Thread(
        target=lambda: received.extend(take_until(subscriber, COUNT - 1)), daemon=True
    )
    thread.start()
    publisher.disconnect()
    thread.join(WAIT_S)

    assert received == list(range(COUNT))


def test_centralized_what_was_published_while_there_was_no_broker_is_recovered() -> (
    None
):
    with contextlib.ExitStack() as stack:
        system = System(stack, centralized=True)
        broker = system.broker()
        gaps: list[Gap] = []
        subscriber = system.subscriber("A", recover=True, on_gap=gaps.append)
        publisher = system.publisher("A", history=1000)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"before")
        assert take_until(subscriber, 0) == [0]

        broker.end()  # type: ignore[attr-defined]
        wait_for(lambda: publisher.subscriber_count == 0, "the broker's leave")
        for _ in range(100):
            publisher.publish_event("A", b"between")
        system.broker()

        # Without another event: the publisher's position shows the missing events.
        assert take_until(subscriber, 100) == list(range(1, 101))
        assert gaps == []


def test_the_strongest_publisher_is_received_and_the_next_takes_over(
    system: System,
) -> None:
    system.broker(lease_s=1.0)
    gaps: list[Gap] = []
    subscriber = system.subscriber("A", on_gap=gaps.append)
    weak = system.publisher("A", strengths=1)
    strong = system.publisher("A", strengths={"A": 2})
    for publisher in (weak, strong):
        publisher.wait_for_subscribers(1, WAIT_S)
    subscriber.wait_until_ready(WAIT_S)

    def publish_until_only(wanted: Publisher) -> None:
        """All publishers publish until ten events in a row come from the wanted one."""
        sessions: list[int] = []
        deadline = time.monotonic() + WAIT_S
        while sessions[-10:] != [wanted.session] * 10:
            assert time.monotonic() < deadline
            for publisher in there:
                publisher.publish_event("A", b"x")
            event = subscriber.receive(0.05)
            sessions += [event.session] if event else []

    there = [weak, strong]
    publish_until_only(strong)
    there.remove(strong)
    strong.disconnect()
    publish_until_only(weak)

    assert gaps == []
