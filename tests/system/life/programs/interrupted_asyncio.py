"""Ctrl-C at random times in an event loop that publishes or receives; the loop is run again
afterwards, with the same objects."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from support.life_program import (
    Receiving,
    Roles,
    check_counts,
    check_delivered,
    in_time,
    main,
    numbers,
)

from pubsub_common.protocol.events import Event
from pubsub_publisher import aio as publisher_aio
from pubsub_subscriber import aio as subscriber_aio

# So long one run of the loop is at most.
_RUN_S = 0.05


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Loop:
    """An event loop in the main thread, which is interrupted."""

    def __init__(self, seed: int = 1) -> None:
        self.loop = asyncio.new_event_loop()
        self.count = 0
        self._random = random.Random(seed)
        signal.signal(signal.SIGALRM, _interrupt)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end, without interrupts."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def until(self, count: int, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run it, and be interrupted, ``count`` times."""
        while self.count < count:
            # Not interrupted: asyncio would run a task that it does not know of.
            task = self.loop.create_task(work())
            try:
                try:
                    signal.setitimer(
                        signal.ITIMER_REAL, self._random.uniform(2e-5, 0.004)
                    )
                    self.loop.run_until_complete(task)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                self.count += 1
            for each in asyncio.all_tasks(self.loop):
                each.cancel()
            self.loop.run_until_complete(_all_done())


async def _all_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 10)


def publish(model: str, count: int = 200) -> None:
    """publish_event and publish_events."""
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber())
        publisher = publisher_aio.Publisher(
            topics=["a"], broker_port=roles.port, bind_port=0, queue_limit=1_000_000
        )
        loop = Loop()
        loop.run(publisher.configure())
        loop.run(publisher.wait_for_subscribers(1, 10))
        accepted: list[int] = []
        number = 0

        async def work() -> None:
            nonlocal number
            end = time.monotonic() + _RUN_S
            while time.monotonic() < end:
                number += 1
                await publisher.publish_event("a", b"%d" % number)
                accepted.append(number)
                if number % 50 == 0:
                    some = range(number + 1, number + 21)
                    number += 20
                    await publisher.publish_events([b"%d" % n for n in some], "a")
                    accepted.extend(some)

        loop.until(count, work)
        number += 1
        loop.run(publisher.publish_event("a", b"%d" % number))
        receiving.ends_with(b"%d" % number)
        receiving.stop()
        got = numbers(receiving.payloads)
        check_delivered(accepted, got, attempted=number)
        check_counts(receiving.subscriber, len(got))
        loop.run(publisher.disconnect())
        print(f"{loop.count} interrupts, {len(accepted)} accepted")


def receive(model: str, way: str = "receive", count: int = 200) -> None:
    """Each event comes once, in order."""
    with Roles(model) as roles:
        publisher = roles.publisher(history=100_000)
        subscriber = subscriber_aio.Subscriber(
            topics=["a"], broker_port=roles.port, indefinite=True, queue_limit=1_000_000
        )
        loop = Loop()
        loop.run(subscriber.configure())
        publisher.wait_for_subscribers(1, 10)
        ended = False
        published = 0
        got: list[Event | Any] = []

        def publishing() -> None:
            nonlocal published
            while not ended:
                burst = [b"%d" % (published + n + 1) for n in range(10)]
                publisher.publish_events(burst, "a")
                published += 10
                time.sleep(0.0003)

        async def work() -> None:
            end = time.monotonic() + _RUN_S
            if way == "receive":
                while time.monotonic() < end:
                    event = await subscriber.receive(0.001)
                    if event is not None:
                        got.append(event)
            elif way == "iterate":
                async for event in subscriber:
                    got.append(event)
                    if time.monotonic() > end:
                        break
            else:
                async for batch in subscriber.batches():
                    got.append(batch)
                    if time.monotonic() > end:
                        break

        thread = threading.Thread(target=publishing, daemon=True)
        thread.start()
        loop.until(count, work)
        ended = True
        in_time(thread.join, "the publishing thread")

        async def drain() -> None:
            while flat(got[-1:])[-1:] != [published]:
                event = await subscriber.receive(10)
                assert event is not None, f"{flat(got[-1:])} of {published} came"
                got.append(event)

        loop.run(drain())
        found = flat(got)
        missing = sorted(set(range(1, published + 1)) - set(found))
        assert not missing, f"{len(missing)} of {published} are missing: {missing[:9]}"
        assert found == list(range(1, published + 1)), "twice or out of order"
        assert subscriber.counts().lost == 0
        loop.run(subscriber.disconnect())
        print(f"{loop.count} interrupts, {published} published")


def flat(got: list[Any]) -> list[int]:
    """The numbers of all events."""
    found: list[int] = []
    for item in got:
        events = [item] if isinstance(item, Event) else item
        found += numbers(event.payload for event in events)
    return found


if __name__ == "__main__":
    main(
        {
            "publish": publish,
            "receive": receive,
            "iterate": lambda **values: receive(way="iterate", **values),
            "batches": lambda **values: receive(way="batches", **values),
        }
    )
