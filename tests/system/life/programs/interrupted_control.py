"""Exceptions from a signal handler at random times in calls that talk to the broker,
wait, begin or end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

from support.life_program import (
    SLACK,
    WAIT_S,
    Interrupted,
    Interrupts,
    Receiving,
    Roles,
    check_counts,
    in_time,
    main,
    open_descriptors,
    settled,
)
from support.running_roles import status

from pubsub_broker import Broker
from pubsub_common.errors import NotReady, PubSubError
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

Role = Publisher | Subscriber

# Enough for `configure` to be interrupted from its first to its last step.
CONFIGURE_S: Final = (2e-5, 0.03)


def new(roles: Roles, role: str) -> Role:
    return roles.new_publisher() if role == "publisher" else roles.new_subscriber()


def usable(each: Role) -> None:
    """The minimal use of a configured object."""
    if isinstance(each, Publisher):
        each.publish_event("a", b"x")
    else:
        each.receive(0)


def nothing_left(roles: Roles, threads: int, descriptors: int) -> None:
    """Neither at the broker nor in this process."""
    settled(lambda: len(status(roles.port).clients), 0, "clients at the broker")
    settled(threading.active_count, threads, "threads")
    settled(open_descriptors, descriptors + SLACK, "descriptors")


def configure(model: str, role: str, count: int = 60, seed: int = 1) -> None:
    """An interrupted `configure` leaves an object that is configured or closed;
    `disconnect` ends either, immediately and without an error."""
    with Roles(model) as roles:
        with new(roles, role):  # whatever is made once
            pass
        threads, descriptors = threading.active_count(), open_descriptors()
        interrupts = Interrupts(seed, *CONFIGURE_S)
        whole = 0
        while interrupts.count < count:
            each = new(roles, role)
            if not interrupts.once(each.configure):
                in_time(lambda each=each: usable(each), "a use")  # type: ignore[misc]
                whole += 1
            in_time(each.disconnect, "disconnect")
            try:
                usable(each)
            except PubSubError:
                pass
            else:
                raise AssertionError("it can be used after disconnect")
        nothing_left(roles, threads, descriptors)
        print(f"{interrupts.count} interrupts, {whole} calls were not interrupted")


def again(model: str, role: str, count: int = 40, seed: int = 2) -> None:
    """An interrupted `configure` is called again: it works, or raises one clear error;
    it does not register twice."""
    with Roles(model) as roles:
        interrupts = Interrupts(seed, *CONFIGURE_S)
        with new(roles, role):
            pass
        threads, descriptors = threading.active_count(), open_descriptors()
        while interrupts.count < count:
            each = new(roles, role)
            interrupts.once(each.configure)
            try:
                each.configure()
            except PubSubError as error:
                assert str(error)
            assert len(status(roles.port).clients) <= 1
            in_time(each.disconnect, "disconnect")
        nothing_left(roles, threads, descriptors)
        print(f"{interrupts.count} interrupts")


def disconnect(model: str, role: str, count: int = 60, seed: int = 3) -> None:
    """An interrupted `disconnect` continues, or the next call finishes it: the broker
    is notified, and all accepted events arrive."""
    with Roles(model) as roles:
        with new(roles, role):
            pass
        receiving = Receiving(roles.subscriber()) if role == "publisher" else None
        threads, descriptors = threading.active_count(), open_descriptors()
        interrupts = Interrupts(seed, 2e-5, 0.01)
        accepted: list[bytes] = []
        while interrupts.count < count:
            each = new(roles, role)
            each.configure()
            if isinstance(each, Publisher):
                each.wait_for_subscribers(1, WAIT_S)
                for _ in range(20):
                    accepted.append(b"%d" % len(accepted))
                    each.publish_event("a", accepted[-1])
            interrupts.once(each.disconnect)
            in_time(each.disconnect, "disconnect again")
        others = 1 if receiving else 0
        settled(lambda: len(status(roles.port).clients), others, "clients")
        settled(threading.active_count, threads, "threads")
        settled(open_descriptors, descriptors + SLACK, "descriptors")
        if receiving is not None:
            settled(
                lambda: len(accepted) - len(receiving.payloads), 0, "events missing"
            )
            receiving.stop()
            # The events of each publisher in order; those of two in any order.
            assert sorted(receiving.payloads) == sorted(accepted), "lost or twice"
            check_counts(receiving.subscriber, len(accepted))
        print(f"{interrupts.count} interrupts, {len(accepted)} accepted")


def waits(model: str, count: int = 100, seed: int = 4) -> None:
    """Waits that end only at their deadline or by an interrupt, then work."""
    with Roles(model) as roles:
        publisher = roles.publisher(history=10)
        subscriber = roles.subscriber()
        interrupts = Interrupts(seed, 2e-5, 0.004)

        def for_more() -> None:
            with contextlib.suppress(NotReady):
                publisher.wait_for_subscribers(2, 0.003)

        calls: list[Callable[[], object]] = [
            for_more,
            lambda: publisher.wait_for_subscribers(2, 5),
            lambda: subscriber.wait_until_ready(5),
            lambda: subscriber.receive(5),
            lambda: subscriber.counts(),
            lambda: subscriber.latency_error_ns(),
        ]
        for call in calls:
            aim = interrupts.count + count
            for _ in range(20 * count):
                interrupts.once(call)
                if interrupts.count >= aim:
                    break
        with roles.new_subscriber():
            in_time(lambda: publisher.wait_for_subscribers(2, WAIT_S), "waiting")
        in_time(lambda: subscriber.wait_until_ready(WAIT_S), "waiting")
        publisher.publish_event("a", b"x")
        event = subscriber.receive(10)
        assert event is not None
        assert event.payload == b"x"
        check_counts(subscriber, 1)
        print(f"{interrupts.count} interrupts")


def topics(model: str, count: int = 150, seed: int = 5) -> None:
    """add_topics and remove_topics: the broker, the publisher and its subscribers agree
    afterwards."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", history=10)
        receiving = Receiving(roles.subscriber("a", "n/#"))
        publisher.wait_for_subscribers(1, WAIT_S)
        interrupts = Interrupts(seed, 2e-5, 0.003)
        number = 0

        def work() -> None:
            nonlocal number
            while True:
                number += 1
                publisher.add_topics([f"n/{number % 7}"])
                publisher.publish_event(f"n/{number % 7}", b"%d" % number)
                publisher.remove_topics([f"n/{number % 7}"])

        while interrupts.count < count:
            try:
                interrupts.once(work)
            except PubSubError as error:  # it was added, or is gone, already
                assert "n/" in str(error), error
        in_time(lambda: publisher.add_topics(["n/9"]), "add_topics")
        (client,) = [c for c in status(roles.port).clients if c.role == "publisher"]
        assert sorted(client.topics) == sorted(publisher.topics), client
        tries = 0
        while not any(payload[:3] == b"end" for payload in receiving.payloads):
            tries += 1  # until the subscriber knows the new topic
            publisher.publish_event("n/9", b"end%d" % tries)
            time.sleep(0.01)
        receiving.stop()
        check_counts(receiving.subscriber)
        assert len(set(receiving.payloads)) == len(receiving.payloads), "twice"
        print(f"{interrupts.count} interrupts, {number} changes")


def broker(count: int = 60, seed: int = 6) -> None:
    """A broker's configure, loop and disconnect in the main thread: it continues when
    its loop is called again."""
    interrupts = Interrupts(seed, 2e-5, 0.01)
    threads, descriptors = 0, 0
    while interrupts.count < count:
        each = Broker(interrupts.count % 2 == 0, indefinite=True, port=0)
        interrupts.once(each.configure)
        in_time(each.disconnect, "disconnect")
        if not threads:
            threads, descriptors = threading.active_count(), open_descriptors()
    settled(threading.active_count, threads, "threads")
    settled(open_descriptors, descriptors + SLACK, "descriptors")

    each = Broker(True, indefinite=True, port=0, queue_limit=1_000_000)
    each.configure()
    done = threading.Event()
    results: list[object] = []

    def clients() -> None:
        try:
            publisher = Publisher(topics=["a"], broker_port=each.port, bind_port=0)
            subscriber = Subscriber(
                topics=["a"], broker_port=each.port, centralized=True, indefinite=True
            )
            with publisher, subscriber:
                publisher.wait_for_subscribers(1, WAIT_S)
                for number in range(2000):
                    publisher.publish_event("a", b"%d" % number)
                    event = subscriber.receive(10)
                    assert event is not None
                    assert event.payload == b"%d" % number
            with publisher_again(each):
                results.append("all came")
        except BaseException as error:
            results.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=clients, daemon=True)
    thread.start()
    while not done.is_set():
        interrupts.once(each.event_loop)
        if done.is_set():
            break
    in_time(each.disconnect, "disconnect")
    assert results == ["all came"], results
    print(f"{interrupts.count} interrupts")


def publisher_again(each: Broker) -> Publisher:
    return Publisher(topics=["b"], broker_port=each.port, bind_port=0)


CASES: Final[dict[str, Callable[..., None]]] = {
    "configure": configure,
    "again": again,
    "disconnect": disconnect,
    "waits": waits,
    "topics": topics,
    "broker": broker,
}

if __name__ == "__main__":
    assert issubclass(Interrupted, Exception)
    main(CASES)
