"""The publisher for asyncio, against a broker and subscribers made of bare sockets."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.leftovers import Leftovers
from support.ports import unused_port
from support.raw_sockets import RawSubscriber

import pubsub_publisher
from pubsub_common.errors import (
    BrokerUnreachable,
    ConfigError,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S
from pubsub_publisher.aio import Publisher

_T = TypeVar("_T")
Subscribe = Callable[..., RawSubscriber]


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run ``main`` in a loop of its own; fail when it hangs, or what it leaves behind
    complains."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> _T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        try:
            return await asyncio.wait_for(main, WAIT_S)
        finally:
            gc.collect()

    result = asyncio.run(bounded())
    assert not complaints
    return result


@pytest.fixture
def new(broker: FakeBroker) -> Callable[..., Publisher]:
    """Makes publishers that are not yet connected."""

    def make(*topics: str, **options: Any) -> Publisher:
        options = {
            "broker_address": "127.0.0.1",
            "broker_port": broker.port,
            "bind_port": 0,
            "linger_s": 0.0,
            **options,
        }
        return Publisher(topics=topics or ("A",), **options)

    return make


async def happens(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


async def payloads(subscriber: RawSubscriber, count: int) -> list[bytes]:
    """Those of the next events, which are numbered without a gap."""
    events = await asyncio.to_thread(subscriber.events, count)
    assert [event.sequence for event in events] == list(range(count))
    return [event.payload for event in events]


def test_it_takes_the_arguments_of_the_synchronous_one() -> None:
    ours, other = map(inspect.signature, (Publisher, pubsub_publisher.Publisher))
    assert ours.parameters == other.parameters
    assert Publisher(topics=["A"]).topics == ("A",)
    with pytest.raises(ConfigError, match="at least one topic"):
        Publisher(declared_only=True)


def test_the_plain_package_does_not_import_asyncio() -> None:
    code = (
        "import sys; from pubsub_publisher import Publisher; Publisher(topics=['A'])\n"
        "print('asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_events_leave_in_order(
    new: Callable[..., Publisher], subscribe: Subscribe, overflow: str
) -> None:
    async def main() -> list[bytes]:
        async with new(overflow=overflow) as publisher:
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            assert publisher.subscriber_count == 1
            for number in range(1000):
                await publisher.publish_event("A", b"%d" % number)
            return await payloads(subscriber, 1000)

    assert run(main()) == [b"%d" % number for number in range(1000)]


def test_text_and_json_are_published_as_bytes(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> list[bytes]:
        async with new() as publisher:
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            await publisher.publish_event("A", "größer")
            await publisher.publish_json("A", {"a": [1, None]})
            return await payloads(subscriber, 2)

    assert run(main()) == ["größer".encode(), b'{"a":[1,null]}']


@pytest.mark.parametrize("overflow", ["drop", "block"])
@pytest.mark.parametrize("kind", [list, iter])
def test_many_events_leave_in_order(
    new: Callable[..., Publisher],
    subscribe: Subscribe,
    overflow: str,
    kind: Callable[[list[bytes]], Any],
) -> None:
    sent = [b"%d" % number for number in range(1000)]
    sent[500] = b"." * 100_000  # larger than a batch

    async def main() -> list[bytes]:
        async with new(overflow=overflow) as publisher:
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            assert await publisher.publish_events(kind(sent)) == 1000
            await publisher.publish_event("A", b"last")
            return await payloads(subscriber, 1001)

    assert run(main()) == [*sent, b"last"]


def test_many_events_of_several_topics_keep_each_topics_order(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    pairs = [("AB"[number % 2], b"%d" % number) for number in range(700)]

    async def main() -> None:
        async with new("A", "B") as publisher:
            subscribers = [
                subscribe(publisher, t, session=i) for i, t in enumerate("AB")
            ]
            await publisher.wait_for_subscribers(2, WAIT_S)
            assert await publisher.publish_events(pairs) == 700
            for topic, subscriber in zip("AB", subscribers, strict=True):
                got = await payloads(subscriber, 350)
                assert got == [payload for name, payload in pairs if name == topic]

    run(main())


def test_events_before_a_wrong_one_are_published(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"2"
        raise ValueError("no more")

    async def main() -> None:
        async with new(declared_only=True) as publisher:
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            with pytest.raises(ConfigError, match="is not one of this publisher's"):
                await publisher.publish_events([b"0", b"1", ("B", b"")])
            with pytest.raises(ValueError, match="no more"):
                await publisher.publish_events(broken())
            with pytest.raises(ConfigError, match="is not one of this publisher's"):
                await publisher.publish_events([], topic="B")
            assert await payloads(subscriber, 3) == [b"0", b"1", b"2"]

    run(main())


def test_a_malformed_event_is_named(new: Callable[..., Publisher]) -> None:
    async def main() -> None:
        publisher = new(declared_only=True)
        with pytest.raises(PubSubError, match="call configure first"):
            await publisher.publish_event("A", b"")
        with pytest.raises(PubSubError, match="call configure first"):
            await publisher.publish_events([b""])
        async with publisher:
            with pytest.raises(ConfigError, match="is not one of this publisher's"):
                await publisher.publish_event("B", b"")
            payload: Any = 7
            with pytest.raises(ConfigError, match="the payload is bytes or text"):
                await publisher.publish_event("A", payload)
            with pytest.raises(ConfigError, match="JSON"):
                await publisher.publish_json("A", object())
        with pytest.raises(PubSubError, match="was disconnected"):
            await publisher.publish_event("A", b"")

    run(main())


def test_other_tasks_run_while_one_publishes(new: Callable[..., Publisher]) -> None:
    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with new() as publisher:
            task = asyncio.create_task(other())
            for _ in range(5000):
                await publisher.publish_event("A", b"")
            assert turns > 10
            before = turns
            await publisher.publish_events([b""] * 5000)
            assert turns > before + 10
            task.cancel()

    run(main())


# Under block, with a full queue


class Queue:
    """A publisher's queue, which is full when the test says so."""

    def __init__(self, publisher: Publisher) -> None:
        self.full = False
        event_socket = publisher._runtime.events
        send = event_socket._send

        def send_if_room(frame: bytes | bytearray, flags: int) -> object:
            if self.full:
                raise zmq.Again
            return send(frame, flags)

        event_socket._send = send_if_room


async def waits(
    publisher: Publisher, payload: bytes, number: int
) -> asyncio.Task[None]:
    """An event that waits as the ``number``-th."""
    task = asyncio.create_task(publisher.publish_event("A", payload))
    await happens(lambda: publisher._waiting == number)
    return task


def test_a_full_queue_makes_events_wait_and_not_the_loop(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> None:
        async with new(overflow="block") as publisher:
            queue = Queue(publisher)
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            await publisher.publish_event("A", b"0")
            queue.full = True
            tasks = [await waits(publisher, b"%d" % n, n) for n in range(1, 6)]
            batch = asyncio.create_task(publisher.publish_events([b"x", b"y"]))
            await happens(lambda: publisher._waiting == 6)
            queue.full = False
            # A new caller is behind all of them.
            await publisher.publish_event("A", b"z")
            got = await payloads(subscriber, 9)
            assert got == [b"0", b"1", b"2", b"3", b"4", b"5", b"x", b"y", b"z"]
            await asyncio.gather(*tasks)
            assert await batch == 2

    run(main())


def test_an_event_that_waited_keeps_its_stamp(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> None:
        async with new(overflow="block") as publisher:
            queue = Queue(publisher)
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            queue.full = True
            first = await waits(publisher, b"first", 1)
            second = await waits(publisher, b"second", 2)
            now_ns = publisher._runtime.now_ns()
            queue.full = False
            for event in await asyncio.to_thread(subscriber.events, 2):
                assert event.published_ns < now_ns
            await asyncio.gather(first, second)

    run(main())


def test_a_cancelled_event_is_not_published_and_lets_others_go_on(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> None:
        async with new(overflow="block") as publisher:
            queue = Queue(publisher)
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            queue.full = True
            first = await waits(publisher, b"first", 1)
            second = await waits(publisher, b"second", 2)
            third = await waits(publisher, b"third", 3)
            first.cancel()
            second.cancel()
            await asyncio.wait([first, second])
            assert first.cancelled()
            assert second.cancelled()
            queue.full = False
            assert await payloads(subscriber, 1) == [b"third"]
            await third

    run(main())


def test_stop_ends_the_wait_for_room(new: Callable[..., Publisher]) -> None:
    async def main() -> None:
        async with new(overflow="block") as publisher:
            Queue(publisher).full = True
            task = await waits(publisher, b"", 1)
            threading.Thread(target=publisher.stop).start()
            with pytest.raises(PubSubError, match="was stopped"):
                await task
            assert publisher.stopped
            with pytest.raises(PubSubError, match="was stopped"):
                await publisher.publish_event("A", b"")

    run(main())


def test_a_subscriber_that_is_slower_loses_nothing_and_leaves_the_loop_free(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    large = b"." * 50_000  # the kernel's buffers hold a part of them

    async def main() -> None:
        async with new(overflow="block", queue_limit=5) as publisher:
            subscriber = subscribe(publisher, "A", session=9, queue_limit=5)
            await publisher.wait_for_subscribers(1, WAIT_S)

            async def publish() -> None:
                for _ in range(500):
                    await publisher.publish_event("A", large)
                await publisher.publish_events([large] * 500)

            task = asyncio.create_task(publish())
            await happens(lambda: publisher._waiting)
            assert len(await payloads(subscriber, 1000)) == 1000
            await task

    run(main())


# Waits, the end, errors


def test_the_wait_for_subscribers_ends_at_its_time_and_when_stopped(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> None:
        async with new() as publisher:
            with pytest.raises(NotReady, match="0 of 1"):
                await publisher.wait_for_subscribers(1, 0.01)
            task = asyncio.create_task(publisher.wait_for_subscribers(1))
            await asyncio.sleep(0.01)
            assert not task.done()
            subscribe(publisher, "A", session=9)
            await task
            task = asyncio.create_task(publisher.wait_for_subscribers(2))
            await asyncio.sleep(0.01)
            publisher.stop()
            with pytest.raises(NotReady, match="1 of 2"):
                await task

    run(main())


def test_a_cancelled_block_leaves_in_an_orderly_way(
    broker: FakeBroker, new: Callable[..., Publisher]
) -> None:
    async def main() -> None:
        publisher = new()

        async def publish() -> None:
            async with publisher:
                await publisher.publish_event("A", b"")
                await publisher.wait_for_subscribers(1)

        task = asyncio.create_task(publish())
        await happens(lambda: publisher._runtime.topics.states["A"].next_number)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    [farewell] = broker.farewells()
    assert farewell.next_sequences == {"A": 1}


def test_a_cancelled_wait_for_the_broker_leaves_nothing(
    broker: FakeBroker, new: Callable[..., Publisher]
) -> None:
    broker.silent = True
    left = Leftovers()

    async def main() -> None:
        task = asyncio.create_task(new().configure())
        await happens(lambda: broker.of(Register))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    assert "pubsub-control" not in left.threads()


def test_an_unreachable_broker_and_a_refusal_are_errors(
    broker: FakeBroker, new: Callable[..., Publisher]
) -> None:
    async def main() -> None:
        with unused_port() as port, pytest.raises(BrokerUnreachable):
            await new(broker_port=port, connect_timeout_s=0.05).configure()
        broker.refusal = ("clock", "another clock is used here")
        with pytest.raises(RegistrationRefused, match="another clock"):
            await new().configure()

    run(main())


def test_another_loop_may_have_another_publisher(
    new: Callable[..., Publisher], subscribe: Subscribe
) -> None:
    async def main() -> None:
        async with new() as publisher:
            assert publisher.session == 7
            subscriber = subscribe(publisher, "A", session=9)
            await publisher.wait_for_subscribers(1, WAIT_S)
            await publisher.publish_event("A", b"hello")
            assert await payloads(subscriber, 1) == [b"hello"]

    run(main())
    run(main())


def test_topics_come_and_go(broker: FakeBroker, new: Callable[..., Publisher]) -> None:
    async def main() -> None:
        async with new(strengths=3) as publisher:
            await publisher.add_topics(["B"], strengths=5)
            assert broker.of(Register)[-1].strengths == {"A": 3, "B": 5}
            assert publisher.strengths == {"A": 3, "B": 5}
            await publisher.publish_event("B", b"x")
            await publisher.remove_topics(["A"])
            assert publisher.topics == ("B",)
            with pytest.raises(ConfigError, match="topics is a list of texts"):
                await publisher.add_topics("news")

    run(main())


def test_topics_that_are_not_declared_are_added(
    broker: FakeBroker, new: Callable[..., Publisher]
) -> None:
    async def main() -> None:
        async with new() as publisher:
            await publisher.publish_event("B", b"x")
            await publisher.publish_events([b"x"], "C")
            await publisher.publish_events([("D", b"1"), ("A", b"2"), ("D", b"3")])
            assert broker.of(Register)[-1].topics == ["A", "B", "C", "D"]
            with pytest.raises(ConfigError, match="control character"):
                await publisher.publish_events([("\0", b"1")])
        numbers = {"A": 1, "B": 1, "C": 1, "D": 2}
        assert broker.farewells()[0].next_sequences == numbers

    run(main())


def test_generated_events(new: Callable[..., Publisher]) -> None:
    sent: list[tuple[str, int]] = []

    async def main() -> None:
        publisher = new(
            "A",
            "B",
            max_event_count=6,
            sleep_period=0.001,
            on_sent=lambda topic, number, _due_ns, _sent_ns: sent.append(
                (topic, number)
            ),
        )
        async with publisher:
            assert await publisher.publish() == 6
            assert publisher.generate_publish_event().startswith(b"A\0")

    run(main())
    assert sent == [(topic, number) for number in range(3) for topic in "AB"]


def test_stop_ends_generated_events(new: Callable[..., Publisher]) -> None:
    async def main() -> None:
        async with new(indefinite=True, sleep_period=3600) as publisher:
            publishing = asyncio.create_task(publisher.publish())
            await asyncio.sleep(0)
            publisher.stop()
            assert await publishing <= 1

    run(main())


def test_it_says_what_it_is(new: Callable[..., Publisher]) -> None:
    assert repr(new()).startswith("<Publisher topics=A broker=127.0.0.1:")
