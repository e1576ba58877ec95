"""Exceptions from a signal handler at random times in a main thread that publishes."""

from __future__ import annotations

import threading
import time
from typing import Any

from support.life_program import (
    WAIT_S,
    Interrupts,
    Receiving,
    Roles,
    check_counts,
    check_delivered,
    in_time,
    main,
    numbers,
)

from pubsub_publisher import Publisher


def single(
    model: str,
    count: int = 300,
    size: int = 0,
    pause_s: float = 0.0,
    seed: int = 1,
    receive_pause_s: float = 0.0,
    recover: bool = False,
    **options: Any,
) -> None:
    """publish_event."""
    with Roles(model) as roles:
        publisher = roles.publisher(**options)
        receiving = Receiving(roles.subscriber(recover=recover), receive_pause_s)
        publisher.wait_for_subscribers(1, WAIT_S)
        tail = b" " + bytes(size)
        accepted: list[int] = []
        number = 0

        def work() -> None:
            nonlocal number
            while True:
                number += 1
                publisher.publish_event("a", b"%d" % number + tail)
                accepted.append(number)
                if pause_s:
                    time.sleep(pause_s)

        interrupts = Interrupts(seed)
        interrupts.until(count, work)
        finish(publisher, receiving, accepted, number)
        print(f"{interrupts.count} interrupts, {len(accepted)} accepted")


def many(
    model: str,
    count: int = 300,
    batch: int = 50,
    size: int = 0,
    seed: int = 1,
    **options: Any,
) -> None:
    """publish_events: all events of a finished call arrived; of an interrupted call,
    the first ones."""
    with Roles(model) as roles:
        publisher = roles.publisher(**options)
        receiving = Receiving(roles.subscriber())
        publisher.wait_for_subscribers(1, WAIT_S)
        tail = b" " + bytes(size)
        accepted: list[int] = []
        calls: list[range] = []

        def work() -> None:
            while True:
                begin = calls[-1].stop if calls else 1
                calls.append(range(begin, begin + batch))
                publisher.publish_events([b"%d" % n + tail for n in calls[-1]], "a")
                accepted.extend(calls[-1])

        interrupts = Interrupts(seed)
        interrupts.until(count, work)
        finish(publisher, receiving, accepted, calls[-1].stop - 1)
        got = set(numbers(receiving.payloads))
        for call in calls:
            came = [number in got for number in call]
            assert came == sorted(came, reverse=True), f"holes in {call}"
        print(f"{interrupts.count} interrupts, {len(accepted)} accepted")


def generated(model: str, count: int = 300, seed: int = 1, **options: Any) -> None:
    """publish, with its own schedule."""
    sent: list[int] = []
    with Roles(model) as roles:
        publisher = roles.publisher(
            indefinite=True,
            sleep_period=0.0001,
            on_sent=lambda topic, number, due, at: sent.append(number),
            **options,
        )
        subscriber = roles.subscriber()
        publisher.wait_for_subscribers(1, WAIT_S)
        receiving = Receiving(subscriber)
        interrupts = Interrupts(seed)
        interrupts.until(count, publisher.publish)
        in_time(lambda: publisher.publish_event("a", b"end"), "another thread")
        receiving.ends_with(b"end")
        receiving.stop()
        check_counts(subscriber)
        assert len(receiving.payloads) > len(sent), (len(receiving.payloads), len(sent))
        assert sent == sorted(set(sent)), "a number twice"
        print(f"{interrupts.count} interrupts, {len(sent)} sent")


def two_threads(model: str, count: int = 300, seed: int = 1) -> None:
    """Another thread publishes on the same topic and on another, all the time."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", "b")
        ours = Receiving(roles.subscriber("a"))
        theirs = Receiving(roles.subscriber("b"))
        publisher.wait_for_subscribers(2, WAIT_S)
        accepted: list[int] = []
        number = other = 0
        ended = False

        def others() -> None:
            nonlocal other
            while not ended:
                other += 1
                publisher.publish_event("b", b"%d" % other)
                if other % 64 == 0:
                    time.sleep(0.0005)

        def work() -> None:
            nonlocal number
            while True:
                number += 1
                publisher.publish_event("a", b"%d" % number)
                accepted.append(number)

        def interrupt() -> None:
            nonlocal ended
            thread = threading.Thread(target=others, daemon=True)
            thread.start()
            interrupts.until(count, work)
            ended = True
            in_time(thread.join, "the other thread")

        interrupts = Interrupts(seed)
        interrupt()
        publisher.publish_event("b", b"%d end" % (other + 1))
        theirs.ends_with(b"%d end" % (other + 1))
        theirs.stop()
        assert numbers(theirs.payloads) == list(range(1, other + 2))
        check_counts(theirs.subscriber, other + 1)
        finish(publisher, ours, accepted, number)
        print(
            f"{interrupts.count} interrupts, {len(accepted)} accepted, {other} others"
        )


def finish(
    publisher: Publisher, receiving: Receiving, accepted: list[int], attempted: int
) -> None:
    """The publisher can still be used, by other threads too; nothing was lost."""
    last = attempted + 1
    in_time(lambda: publisher.publish_event("a", b"%d" % last), "another thread")
    receiving.ends_with(b"%d" % last)
    receiving.stop()
    got = numbers(receiving.payloads)
    check_delivered([*accepted, last], got, attempted=last)
    check_counts(receiving.subscriber, len(got))


if __name__ == "__main__":
    main({"single": single, "many": many, "generated": generated, "two": two_threads})
