"""Exceptions from a signal handler at random times in a main thread that receives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from support.life_program import (
    WAIT_S,
    Interrupts,
    Receiving,
    Roles,
    check_counts,
    in_time,
    main,
    numbers,
)

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

Got = list[Event | Batch]
Way = Callable[[Subscriber, Got], None]


def receive(subscriber: Subscriber, got: Got) -> None:
    while True:
        event = subscriber.receive()
        if event is not None:
            got.append(event)


def receive_for(subscriber: Subscriber, got: Got) -> None:
    while True:
        event = subscriber.receive(0.001)
        if event is not None:
            got.append(event)


def receive_at_once(subscriber: Subscriber, got: Got) -> None:
    while True:
        event = subscriber.receive(0)
        if event is not None:
            got.append(event)


def iteration(subscriber: Subscriber, got: Got) -> None:
    for event in subscriber:
        got.append(event)


def one_iterator_each(subscriber: Subscriber, got: Got) -> None:
    """A new iterator for each event, like `next(iter(...))`."""
    while True:
        for event in subscriber:
            got.append(event)
            break


def batches(subscriber: Subscriber, got: Got) -> None:
    for batch in subscriber.batches():
        got.append(batch)


def parse(subscriber: Subscriber, got: Got) -> None:
    while True:
        event = subscriber.parse_publish_event()
        if event is not None:
            got.append(event)


def notify(subscriber: Subscriber, got: Got) -> None:
    subscriber.notify()


def wait_until_ready(subscriber: Subscriber, got: Got) -> None:
    while True:
        subscriber.wait_until_ready(1.0)
        event = subscriber.receive(0)
        if event is not None:
            got.append(event)


WAYS: Final[dict[str, Way]] = {
    way.__name__: way
    for way in (
        receive,
        receive_for,
        receive_at_once,
        iteration,
        one_iterator_each,
        batches,
        parse,
        notify,
        wait_until_ready,
    )
}


def each_once(
    model: str,
    way: str,
    count: int = 300,
    seed: int = 1,
    size: int = 0,
    batch: int = 1,
    pause_s: float = 0.0003,
    history: int = 0,
    odd: bool = False,
    apart: bool = False,
    **options: Any,
) -> None:
    """Each event of a publisher in another thread arrives once, in order.

    ``odd``: publishers come and go meanwhile, which is work for the subscriber. ``apart``:
    the publisher has a second topic, for another subscriber.
    """
    got: Got = []
    if way == "notify":
        options["on_event"] = got.append
    with Roles(model) as roles:
        topics = ("a", "b") if apart else ("a",)
        publisher = roles.publisher(*topics, history=history)
        subscriber = roles.subscriber(**options)
        others = [Receiving(roles.subscriber(topic)) for topic in topics[1:]]
        publisher.wait_for_subscribers(len(topics), WAIT_S)
        ended = False
        published = 0
        tail = b" " + bytes(size)

        def publish() -> None:
            nonlocal published
            while not ended:
                burst = [b"%d" % (published + n + 1) + tail for n in range(batch)]
                for topic in topics:
                    publisher.publish_events(burst, topic)
                published += batch
                time.sleep(pause_s)

        def come_and_go() -> None:
            while not ended:
                other = Publisher(
                    topics=["a"], broker_port=roles.port, bind_port=0, history=history
                )
                with other:
                    time.sleep(0.01)

        works = [publish, come_and_go] if odd else [publish]
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        interrupts = Interrupts(seed)
        interrupts.until(count, lambda: WAYS[way](subscriber, got))
        ended = True
        for thread in threads:
            in_time(thread.join, "the publishing thread")
        in_time(lambda: drain(subscriber, got, published), "receiving the rest")
        found = numbers_of(got)
        missing = sorted(set(range(1, published + 1)) - set(found))
        assert not missing, f"{len(missing)} of {published} are missing: {missing[:10]}"
        assert found == list(range(1, published + 1)), "twice or out of order"
        check_counts(subscriber, published)
        for other in others:
            other.ends_with(b"%d" % published + tail)
            other.stop()
            assert numbers(other.payloads) == found
            check_counts(other.subscriber, published)
        assert subscriber.malformed_count == 0
        print(f"{interrupts.count} interrupts, {published} published")


def drain(subscriber: Subscriber, got: Got, published: int) -> None:
    """Receive the rest; all losses are known when the last event has arrived."""
    while numbers_of(got[-1:])[-1:] != [published]:
        event = subscriber.receive(10)
        assert event is not None, f"{len(got)} of {published} came"
        got.append(event)


def numbers_of(got: Got) -> list[int]:
    """The numbers of all events, in the order of their arrival."""
    found: list[int] = []
    for item in got:
        events = [item] if isinstance(item, Event) else item
        found += numbers(event.payload for event in events)
    return found


if __name__ == "__main__":
    main({"each_once": each_once})
