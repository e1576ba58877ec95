"""An exception at the first line of our code that a call runs, at the second, and so on
until the call ends by itself: a systematic search instead of luck."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from support.life_program import (
    SLACK,
    WAIT_S,
    Receiving,
    Roles,
    check_counts,
    check_delivered,
    in_time,
    main,
    numbers,
    open_descriptors,
    settled,
)
from support.running_roles import status

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

# More lines than any call runs.
MOST_LINES: Final = 5000


class Raised(Exception):
    """Raised at a line."""


def raised_at(line: int, work: Callable[[], object]) -> bool:
    """Run ``work``, and raise `Raised` before the line of our code with this number; whether
    it has so many."""
    left = line

    def at_line(frame: FrameType, what: str, _: object) -> Any:
        nonlocal left
        if what == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise Raised(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return at_line

    def at_call(frame: FrameType, what: str, _: object) -> Any:
        return at_line if "/pubsub_" in frame.f_code.co_filename else None

    sys.settrace(at_call)
    try:
        work()
    except Raised:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


def at_each_line(prepare: Callable[[], object], work: Callable[[], object]) -> int:
    """Raise at each line of ``work`` in turn; returns how many there are."""
    for line in range(1, MOST_LINES):
        prepare()
        if not raised_at(line, work):
            return line - 1
    raise AssertionError("a call that does not end")


# Publishing


def publish(
    model: str,
    call: str = "publish_event",
    before: int = 0,
    size: int = 0,
    threads: bool = True,
    **options: Any,
) -> None:
    """``before``: events that are in the batch already."""
    with Roles(model) as roles:
        publisher = roles.publisher(**options)
        receiving = Receiving(roles.subscriber())
        publisher.wait_for_subscribers(1, WAIT_S)
        tail = b" " + bytes(size)
        accepted: list[int] = []
        number = 0

        def one() -> None:
            nonlocal number
            number += 1
            publisher.publish_event("a", b"%d" % number + tail)
            accepted.append(number)

        def prepare() -> None:
            if threads:
                in_time(one, "publish_event in another thread")
            else:
                time.sleep(0.002)
            for _ in range(before):
                one()

        def some() -> None:
            nonlocal number
            mine = range(number + 1, number + 6)
            number += 5
            publisher.publish_events([b"%d" % n + tail for n in mine], "a")
            accepted.extend(mine)

        lines = at_each_line(
            prepare, {"publish_event": one, "publish_events": some}[call]
        )
        in_time(one, "publish_event in another thread")
        receiving.ends_with(b"%d" % number + tail)
        receiving.stop()
        got = numbers(receiving.payloads)
        check_delivered(accepted, got, attempted=number)
        check_counts(receiving.subscriber, len(got))
        print(f"{lines} lines, {len(accepted)} accepted")


# Receiving


def receive(
    model: str, way: str, size: int = 0, batch: int = 5, **options: Any
) -> None:
    """All events arrive once, in order, with any way of receiving."""
    got: list[Event | Batch | None] = []

    with Roles(model) as roles:
        publisher = roles.publisher(history=1000)
        subscriber = roles.subscriber(**options)
        publisher.wait_for_subscribers(1, WAIT_S)

        def receive_for() -> None:
            event = subscriber.receive(0.02)
            if event is not None:
                got.append(event)

        def at_once() -> None:
            event = subscriber.receive(0)
            if event is not None:
                got.append(event)

        def forever() -> None:
            event = subscriber.receive()
            got.append(event)

        def iteration() -> None:
            for event in subscriber:
                got.append(event)
                break

        def batches() -> None:
            for item in subscriber.batches():
                got.append(item)
                break

        def parse() -> None:
            event = subscriber.parse_publish_event()
            if event is not None:
                got.append(event)

        def ready() -> None:
            subscriber.wait_until_ready(1)

        work = {
            "receive_for": receive_for,
            "receive_at_once": at_once,
            "receive": forever,
            "iteration": iteration,
            "batches": batches,
            "parse": parse,
            "wait_until_ready": ready,
        }[way]
        number = 0

        def drain() -> None:
            while flat(got)[-1:] != [number]:
                event = subscriber.receive(10)
                assert event is not None, f"{number} has not come: {flat(got)[-5:]}"
                got.append(event)

        def prepare() -> None:
            nonlocal number
            if number:
                in_time(drain, "receiving in another thread")
            burst = range(number + 1, number + batch + 1)
            number += batch
            publisher.publish_events([b"%d" % n + b" " + bytes(size) for n in burst])
            time.sleep(0.002)  # so that most have arrived

        lines = at_each_line(prepare, work)
        in_time(drain, "receiving in another thread")
        assert flat(got) == list(range(1, number + 1)), "lost, twice or out of order"
        check_counts(subscriber, number)
        print(f"{lines} lines, {number} events")


def flat(got: list[Event | Batch | None]) -> list[int]:
    """The numbers of all events."""
    found: list[int] = []
    for item in got:
        events = [] if item is None else [item] if isinstance(item, Event) else item
        found += numbers(event.payload for event in events)
    return found


# The rest


def begin_and_end(model: str, role: str, call: str) -> None:
    """configure and disconnect: for any interrupted line, `disconnect` leaves nothing."""
    with Roles(model) as roles:

        def new() -> Publisher | Subscriber:
            return (
                roles.new_publisher() if role == "publisher" else roles.new_subscriber()
            )

        with new():
            pass
        threads, descriptors = threading.active_count(), open_descriptors()
        each = new()

        def prepare() -> None:
            nonlocal each
            in_time(each.disconnect, "disconnect")
            each = new()
            if call == "disconnect":
                each.configure()

        def work() -> None:
            each.configure() if call == "configure" else each.disconnect()

        lines = at_each_line(prepare, work)
        in_time(each.disconnect, "disconnect")
        settled(lambda: len(status(roles.port).clients), 0, "clients at the broker")
        settled(threading.active_count, threads, "threads")
        settled(open_descriptors, descriptors + SLACK, "descriptors")
        print(f"{lines} lines")


def change(model: str, call: str) -> None:
    """Calls that talk to the broker, or only read, repeated afterwards."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", "b")
        subscriber = roles.subscriber("a")
        publisher.wait_for_subscribers(1, WAIT_S)
        number = 0

        def prepare() -> None:
            nonlocal number
            number += 1
            there = "n" in publisher.topics
            if call == "remove_topics" and not there:
                in_time(lambda: publisher.add_topics(["n"]), "add_topics")
            if call == "add_topics" and there:
                in_time(lambda: publisher.remove_topics(["n"]), "remove_topics")
            in_time(lambda: publisher.publish_event("a", b"%d" % number), "publishing")

        works: dict[str, Callable[[], object]] = {
            "add_topics": lambda: publisher.add_topics(["n"]),
            "remove_topics": lambda: publisher.remove_topics(["n"]),
            "wait_for_subscribers": lambda: publisher.wait_for_subscribers(1, 5),
            "publisher.stop": lambda: roles.new_publisher().stop(),
            "counts": subscriber.counts,
            "latency_error_ns": subscriber.latency_error_ns,
        }
        lines = at_each_line(prepare, works[call])
        in_time(lambda: publisher.add_topics(["last"]), "add_topics")
        (client,) = [c for c in status(roles.port).clients if c.role == "publisher"]
        assert sorted(client.topics) == sorted(publisher.topics), client
        for expected in range(1, number + 1):
            event = subscriber.receive(10)
            assert event is not None
            assert event.payload == b"%d" % expected
        check_counts(subscriber, number)
        print(f"{lines} lines")


if __name__ == "__main__":
    main(
        {
            "publish": publish,
            "receive": receive,
            "begin_and_end": begin_and_end,
            "change": change,
        }
    )
