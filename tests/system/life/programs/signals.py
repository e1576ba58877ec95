"""Signal handlers with the calls that the documentation allows: stop, disconnect and
publish_event, at random times of a main thread that is busy with the same object."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from support.life_program import (
    WAIT_S,
    Receiving,
    Roles,
    check_counts,
    check_delivered,
    in_time,
    main,
    numbers,
    settled,
)
from support.running_roles import status

from pubsub_common.errors import NotReady, PubSubError
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


@contextmanager
def handler(
    work: Callable[[], object], seed: int, longest_s: float, *, repeat: bool
) -> Iterator[list[int]]:
    """Runs ``work`` in the main thread at a random time, or repeatedly."""
    times = random.Random(seed)
    ran = [0]

    def run(number: int, frame: FrameType | None) -> None:
        ran[0] += 1
        work()
        if repeat:
            signal.setitimer(signal.ITIMER_REAL, times.uniform(2e-5, longest_s))

    signal.signal(signal.SIGALRM, run)
    signal.setitimer(signal.ITIMER_REAL, times.uniform(2e-5, longest_s))
    try:
        yield ran
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def publishes(
    model: str, seconds: float = 1.5, size: int = 0, seed: int = 1, **options: Any
) -> None:
    """A handler publishes while the main thread publishes on the same topic."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", "s", **options)
        main_events = Receiving(roles.subscriber("a"))
        signal_events = Receiving(roles.subscriber("s"))
        publisher.wait_for_subscribers(2, WAIT_S)
        tail = b" " + bytes(size)
        number = 0
        signalled = 0

        def in_handler() -> None:
            nonlocal signalled
            signalled += 1
            publisher.publish_event("s", b"%d" % signalled + tail)

        end = time.monotonic() + seconds
        with handler(in_handler, seed, 0.003, repeat=True):
            while time.monotonic() < end:
                number += 1
                publisher.publish_event("a", b"%d" % number + tail)
        for receiving, topic, last in (
            (main_events, "a", number + 1),
            (signal_events, "s", signalled + 1),
        ):
            in_time(
                lambda topic=topic, last=last: publisher.publish_event(  # type: ignore[misc]
                    topic, b"%d" % last
                ),
                "another thread",
            )
            receiving.ends_with(b"%d" % last)
            receiving.stop()
            assert numbers(receiving.payloads) == list(range(1, last + 1))
            check_counts(receiving.subscriber, last)
        assert signalled > 20, signalled
        print(f"{number} events, {signalled} by the handler")


def publishes_here(
    model: str, seconds: float = 1.5, size: int = 0, seed: int = 1
) -> None:
    """On the topic on which the main thread publishes: each event arrives once, those
    of the main thread in order, and those of the handler too."""
    with Roles(model) as roles:
        publisher = roles.publisher("a")
        receiving = Receiving(roles.subscriber("a"))
        publisher.wait_for_subscribers(1, WAIT_S)
        tail = b" " + bytes(size)
        number = signalled = 0

        def in_handler() -> None:
            nonlocal signalled
            signalled += 1
            publisher.publish_event("a", b"h%d" % signalled + tail)

        end = time.monotonic() + seconds
        with handler(in_handler, seed, 0.002, repeat=True):
            while time.monotonic() < end:
                number += 1
                publisher.publish_event("a", b"m%d" % number + tail)
        in_time(lambda: publisher.publish_event("a", b"end"), "another thread")
        settled(lambda: number + signalled + 1 - len(receiving.payloads), 0, "missing")
        receiving.stop()
        got = [payload.split()[0] for payload in receiving.payloads]
        assert [p for p in got if p[:1] == b"m"] == [
            b"m%d" % n for n in range(1, number + 1)
        ]
        assert [p for p in got if p[:1] == b"h"] == [
            b"h%d" % n for n in range(1, signalled + 1)
        ]
        check_counts(receiving.subscriber, len(got))
        print(f"{number} events, {signalled} by the handler")


def ends_publishing(model: str, call: str, times: int = 12, **options: Any) -> None:
    """``call`` is stop or disconnect, in a handler, while the main thread publishes as
    fast as it can; all accepted events arrive."""
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber())
        accepted: list[int] = []
        number = 0
        for turn in range(times):
            publisher = roles.publisher(**options)
            publisher.wait_for_subscribers(1, WAIT_S)
            with handler(getattr(publisher, call), turn, 0.02, repeat=False) as ran:
                while not ran[0]:
                    number += 1
                    try:
                        publisher.publish_event("a", b"%d" % number)
                    except PubSubError as error:
                        assert str(error)
                        break
                    accepted.append(number)
            in_time(publisher.disconnect, "disconnect")
            try:
                in_time(lambda p=publisher: p.publish_event("a", b"x"))  # type: ignore[misc]
            except AssertionError as error:
                assert isinstance(error.__cause__, PubSubError), error
        settled(
            lambda: len(set(accepted) - set(numbers(receiving.payloads))), 0, "lost"
        )
        receiving.stop()
        check_delivered(accepted, numbers(receiving.payloads), attempted=number)
        check_counts(receiving.subscriber)
        settled(
            lambda: sum(c.role == "publisher" for c in status(roles.port).clients),
            0,
            "publishers",
        )
        print(f"{len(accepted)} accepted by {times} publishers")


def ends_generating(model: str, call: str, times: int = 8) -> None:
    """Like `ends_publishing`, with `publish`."""
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber())
        count = 0
        for turn in range(times):
            publisher = roles.publisher(indefinite=True, sleep_period=(turn % 2) * 2e-4)
            publisher.wait_for_subscribers(1, WAIT_S)
            with handler(getattr(publisher, call), turn, 0.02, repeat=False):
                try:
                    count += publisher.publish()
                except PubSubError as error:
                    assert call == "disconnect", error
            in_time(publisher.disconnect, "disconnect")
        settled(lambda: count - len(receiving.payloads), 0, "lost")
        receiving.stop()
        check_counts(receiving.subscriber)
        print(f"{count} events")


def ends_receiving(model: str, call: str, way: str, times: int = 6) -> None:
    """``call`` in a handler ends any receive call of the main thread."""
    with Roles(model) as roles:
        publisher = roles.publisher(history=10)
        ended = False

        def publish() -> None:
            number = 0
            while not ended:
                number += 1
                publisher.publish_event("a", b"%d" % number)
                if number % 20 == 0:
                    time.sleep(0.001)

        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        for turn in range(times):
            subscriber = roles.subscriber(recover=turn % 2 == 1)
            stopped = [0]

            def end(
                each: Subscriber = subscriber, stopped: list[int] = stopped
            ) -> None:
                stopped[0] += 1
                getattr(each, call)()

            with handler(end, turn, 0.05, repeat=False):
                try:
                    receive(subscriber, way, stopped)
                except PubSubError as error:
                    assert call == "disconnect" or isinstance(error, NotReady), error
            assert stopped[0], "it ended by itself"
            in_time(subscriber.disconnect, "disconnect")
        ended = True
        in_time(thread.join, "the publishing thread")
        settled(
            lambda: sum(c.role == "subscriber" for c in status(roles.port).clients),
            0,
            "subscribers",
        )
        print(f"{times} times")


def receive(subscriber: Subscriber, way: str, stopped: list[int]) -> None:
    match way:
        case "iteration":
            for _ in subscriber:
                pass
        case "batches":
            for _ in subscriber.batches():
                pass
        case "notify":
            subscriber.notify()
        case "receive":
            while subscriber.receive() is not None:
                pass
        case "receive_for":
            while not stopped[0]:
                subscriber.receive(0.01)
        case "wait_until_ready":
            while not stopped[0]:
                subscriber.wait_until_ready(1)


def ends_configure(role: str, call: str, times: int = 10) -> None:
    """``call`` in a handler while `configure` waits for a broker that is not there, or
    is about to end."""
    with Roles() as roles:
        for turn in range(times):
            options: dict[str, Any] = {
                "broker_port": roles.port if turn % 2 else 1,
                "connect_timeout_s": 3,
            }
            each: Publisher | Subscriber
            if role == "publisher":
                each = Publisher(topics=["a"], bind_port=0, **options)
            else:
                each = Subscriber(topics=["a"], indefinite=True, **options)
            with handler(getattr(each, call), turn, 0.02, repeat=False) as ran:
                try:
                    each.configure()
                except PubSubError as error:
                    assert str(error)
                settled(lambda ran=ran: 1 - ran[0], 0, "handlers")  # type: ignore[misc]
            in_time(each.disconnect, "disconnect")
        settled(lambda: len(status(roles.port).clients), 0, "clients")
        print(f"{times} times")


def ends_broker(call: str, times: int = 10) -> None:
    """``call`` in a handler in a broker's loop in the main thread."""
    from pubsub_broker import Broker

    for turn in range(times):
        broker = Broker(turn % 2 == 0, indefinite=True, port=0, linger_s=1.0)
        broker.configure()
        with handler(getattr(broker, call), turn, 0.02, repeat=False) as ran:
            try:
                broker.event_loop()
            except PubSubError:  # it was disconnected before it began
                assert call == "disconnect"
        assert ran[0]
        in_time(broker.disconnect, "disconnect")
    print(f"{times} times")


def press_until(ended: threading.Event, wait_s: float) -> None:
    """Press Ctrl-C after so many seconds, and again while nothing ends: Python drops the
    exception of a handler that runs while it frees an object in a set of weak references,
    such as a thread."""
    while not ended.wait(wait_s):
        os.kill(os.getpid(), signal.SIGINT)
        wait_s = 5.0


def interrupt_keys(model: str, role: str, times: int = 24) -> None:
    """Ctrl-C, by SIGINT, in the plainest loop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber())
        sender = roles.publisher(history=10) if role == "subscriber" else None
        accepted: list[int] = []
        number = 0
        for turn in range(times):
            wait_s = random.Random(turn).uniform(0.001, 0.08)
            ended = threading.Event()
            keys = threading.Thread(target=press_until, args=(ended, wait_s))
            each = (
                roles.new_publisher()
                if role == "publisher"
                else roles.new_subscriber(recover=turn % 2 == 0)
            )
            keys.start()
            try:
                with each:
                    if isinstance(each, Publisher):
                        while True:
                            number += 1
                            each.publish_event("a", b"%d" % number)
                            accepted.append(number)
                    assert sender is not None
                    while True:
                        sender.publish_event("a", b"1")
                        each.receive(0.01)
            except KeyboardInterrupt:
                ended.set()
            in_time(keys.join, "the keys")
            in_time(each.disconnect, "disconnect")
        settled(
            lambda: sum(c.role == role for c in status(roles.port).clients),
            1 if role == "subscriber" else 0,  # the one that receives
            "clients",
        )
        if role == "publisher":
            settled(
                lambda: len(set(accepted) - set(numbers(receiving.payloads))), 0, "lost"
            )
            receiving.stop()
            got = numbers(receiving.payloads)
            check_delivered(accepted, got, attempted=number)
            check_counts(receiving.subscriber, len(got))
        print(f"{times} times, {len(accepted)} accepted")


if __name__ == "__main__":
    main(
        {
            "publishes": publishes,
            "publishes_here": publishes_here,
            "ends_publishing": ends_publishing,
            "ends_generating": ends_generating,
            "ends_receiving": ends_receiving,
            "ends_configure": ends_configure,
            "ends_broker": ends_broker,
            "interrupt_keys": interrupt_keys,
        }
    )
