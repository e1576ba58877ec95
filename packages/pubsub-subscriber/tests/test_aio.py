"""The subscriber for asyncio, against a broker and publishers made of bare sockets."""

from __future__ import annotations

import asyncio
import gc
import inspect
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.fake_broker import FakeBroker
from support.leftovers import Leftovers
from support.ports import unused_port
from support.raw_sockets import RawPublisher

import pubsub_subscriber
from pubsub_common.errors import (
    BrokerUnreachable,
    ConfigError,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.measurement.latency_file import HEADER
from pubsub_common.protocol.batches import Batch, encode_batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber.aio import Subscriber

_T = TypeVar("_T")
NewPublisher = Callable[..., RawPublisher]


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
def new(broker: FakeBroker) -> Callable[..., Subscriber]:
    """Makes subscribers of the broker's model that are not yet connected."""

    def make(*topics: str, **options: Any) -> Subscriber:
        options = {
            "broker_address": "127.0.0.1",
            "broker_port": broker.port,
            "indefinite": "max_event_count" not in options,
            "centralized": broker.model == "centralized",
            "attach_timeout_s": 0,  # the raw publishers answer later, if at all
            **options,
        }
        return Subscriber(topics=topics or ("A",), **options)

    return make


@pytest.fixture
def publisher(broker: FakeBroker, new_publisher: NewPublisher) -> RawPublisher:
    """A publisher of "A" that the broker knows."""
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    return publisher


async def ready(subscriber: Subscriber, publisher: RawPublisher) -> None:
    """Return when what ``publisher`` sends arrives. The subscriber may repeat its request, and
    there may be one of an earlier subscriber."""
    waiting = asyncio.create_task(subscriber.wait_until_ready(WAIT_S))
    while not waiting.done():
        await asyncio.to_thread(publisher.answer_waiting)
        await asyncio.wait([waiting], timeout=0.01)
    await waiting


async def happens(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


# The interface


def test_it_takes_the_arguments_of_the_synchronous_one() -> None:
    ours, theirs = map(inspect.signature, (Subscriber, pubsub_subscriber.Subscriber))
    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert Subscriber(topics=["A"]).topics == ("A",)
    with pytest.raises(ConfigError, match="at least one topic"):
        Subscriber()


def test_the_plain_package_does_not_import_asyncio() -> None:
    code = (
        "import sys; from pubsub_subscriber import Subscriber; Subscriber(topics=['A'])\n"
        "print('asyncio' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# Receiving


def test_events_arrive_in_order_until_there_are_enough(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> list[Event]:
        async with new(max_event_count=1000) as subscriber:
            await ready(subscriber, publisher)
            for number in range(1005):
                publisher.publish("A", b"%d" % number)
            events = [event async for event in subscriber]
            assert await subscriber.receive(0) is None
            assert subscriber.event_count == 1000
            assert subscriber.counts().lost == 0
            assert subscriber.malformed_count == 0
            return events

    events = run(main())
    assert [event.payload for event in events] == [b"%d" % n for n in range(1000)]
    assert events[0].topic == "A"


def test_a_wait_ends_with_an_event_that_comes_later(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            for number in range(50):
                task = asyncio.create_task(subscriber.receive())
                await asyncio.sleep(0)
                assert not task.done()
                publisher.publish("A")
                event = await task
                assert event is not None
                assert event.sequence == number

    run(main())


def test_without_an_event_receive_ends_at_its_time(
    new: Callable[..., Subscriber],
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            assert await subscriber.receive(0) is None
            assert await subscriber.receive(0.01) is None
            # Longer than any timer takes.
            task = asyncio.create_task(subscriber.receive(1e300))
            await asyncio.sleep(0.01)
            assert not task.done()
            subscriber.stop()
            assert await task is None

    run(main())


def test_batches_stay_together(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    def batch(sequence: int) -> bytes:
        times = list(range(100))
        return encode_batch(
            Batch(publisher.address, 1, sequence, 5, times, [b"x"] * 100, topic="A")
        )

    async def main() -> list[int]:
        async with new(max_event_count=351) as subscriber:
            await ready(subscriber, publisher)
            publisher.publish("A")
            for number in range(4):
                publisher.socket.send(batch(1 + 100 * number))
            return [len(batch) async for batch in subscriber.batches()]

    assert run(main()) == [1, 100, 100, 100, 50]


def test_a_publisher_that_joins_during_a_wait_is_received(
    broker: FakeBroker, new: Callable[..., Subscriber], new_publisher: NewPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            task = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(0)
            publisher = new_publisher("A")
            broker.tell(joined=[publisher.info])
            await asyncio.to_thread(publisher.get_ready)
            publisher.publish("A", b"hello")
            event = await task
            assert event is not None
            assert event.payload == b"hello"

    run(main())


def test_centralized_it_moves_to_a_new_port_while_somebody_waits(
    broker: FakeBroker, new: Callable[..., Subscriber], new_publisher: NewPublisher
) -> None:
    async def main() -> None:
        before, after = new_publisher("A"), new_publisher("A", session=1)
        broker.model, broker.ports = "centralized", {"A": before.port}
        broker.publishers = [before.hidden_info]
        async with new() as subscriber:
            await ready(subscriber, before)
            before.publish("A", b"old")
            event = await subscriber.receive()
            assert event is not None
            task = asyncio.create_task(subscriber.receive())
            broker.ports = {"A": after.port}
            await asyncio.to_thread(broker.restart)
            await asyncio.to_thread(after.get_ready)
            after.publish("A", b"new", sequence=1)
            event = await task
            assert event is not None
            assert event.payload == b"new"

    run(main())


def test_several_tasks_share_the_events(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> list[int]:
        got: list[int] = []
        async with new() as subscriber:
            await ready(subscriber, publisher)

            async def one() -> None:
                event = await subscriber.receive()
                assert event is not None
                got.append(event.sequence)

            # All come in one burst, which the first of them takes from the socket.
            tasks = [asyncio.create_task(one()) for _ in range(20)]
            await asyncio.sleep(0)
            for _ in range(20):
                publisher.publish("A")
            await asyncio.gather(*tasks)
        return got

    assert sorted(run(main())) == list(range(20))


def test_a_waiting_task_gets_what_another_task_took_from_the_socket(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            waiting = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(0)
            two = Batch(publisher.address, 1, 0, 0, [0, 0], [b"", b""], "A")
            publisher.socket.send(encode_batch(two))
            [sub_socket] = subscriber._runtime.receiver.sockets.open
            # Not a turn of the loop meanwhile, and the look takes the news away.
            with sub_socket.lock:
                wait_for(sub_socket.readable, "the arrival")
            assert await subscriber.receive(0) is not None
            assert await waiting is not None

    run(main())


def test_waits_of_several_lengths_end_in_time(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            ended: list[float] = []

            async def wait(timeout_s: float) -> None:
                begun_at = time.monotonic()
                assert await subscriber.receive(timeout_s) is None
                assert timeout_s <= time.monotonic() - begun_at < WAIT_S
                ended.append(timeout_s)

            lengths = [0.3, 0.05, 0.2, 0.1]
            await asyncio.gather(*map(wait, lengths))

            assert ended == sorted(lengths)
            assert await subscriber.receive(0) is None
            publisher.publish("A", b"x")
            assert await subscriber.receive(WAIT_S) is not None

    run(main())


def test_what_comes_before_the_loop_turns_is_there_without_a_wait(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            publisher.publish("A", b"x")
            assert await subscriber.receive(WAIT_S) is not None  # then it is drained
            publisher.publish("A", b"y")
            event = None
            deadline = time.monotonic() + WAIT_S
            while event is None and time.monotonic() < deadline:
                event = await subscriber.receive(0)  # no turn of the loop meanwhile
            assert event is not None
            assert event.payload == b"y"

    run(main())


def test_batches_stay_whole_after_single_events_were_received(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            publisher.publish("A", b"x")
            assert await subscriber.receive(WAIT_S) is not None
            place = publisher.address, publisher.session
            first = publisher.next_sequence["A"]
            three = Batch(*place, first, 0, [0] * 3, [b""] * 3, "A")
            publisher.socket.send(encode_batch(three))
            # The loop hears of it before anybody wants it.
            [sub_socket] = subscriber._runtime.receiver.sockets.open
            # Not by `waits`, after which the descriptor no longer signals.
            while not select.select([sub_socket.fd], [], [], 0)[0]:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            assert len(await anext(subscriber.batches())) == 3

    run(main())


def test_other_tasks_run_while_events_are_at_hand(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with new(max_event_count=20_000) as subscriber:
            await ready(subscriber, publisher)
            payloads = [b""] * 4000
            for first in range(0, 20_000, 4000):
                batch = Batch(publisher.address, 1, first, 0, [0] * 4000, payloads, "A")
                publisher.socket.send(encode_batch(batch))
            task = asyncio.create_task(other())
            async for event in subscriber:
                if event.sequence == 10_000:
                    before = turns
            assert turns > before + 10
            task.cancel()

    run(main())


def test_a_loss_is_named_while_somebody_waits(
    broker: FakeBroker, new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        lost: list[int] = []
        async with new(on_gap=lambda gap: lost.append(gap.count)) as subscriber:
            await ready(subscriber, publisher)
            publisher.publish("A")
            assert await subscriber.receive() is not None
            publisher.next_sequence["A"] += 3  # published, it says
            subscriber._runtime.core.streams.departures.grace_s = 0.05
            broker.tell(left=[publisher.departure])
            task = asyncio.create_task(subscriber.receive())
            await happens(lambda: lost)
            task.cancel()
        assert lost == [3]

    run(main())


# Getting ready


def test_it_is_ready_when_every_publisher_has_answered(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            with pytest.raises(NotReady, match="1 replies are missing"):
                await subscriber.wait_until_ready(0.01)
            task = asyncio.create_task(subscriber.wait_until_ready())
            asked = await asyncio.to_thread(publisher.wait_for_ready)
            assert not task.done()
            publisher.publish("A", b"buffered")
            for topic, session in asked:
                publisher.answer(topic, session)
            await task
            event = await subscriber.receive()
            assert event is not None
            assert event.payload == b"buffered"

    run(main())


def test_stop_ends_the_wait_for_answers(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            task = asyncio.create_task(subscriber.wait_until_ready())
            await asyncio.sleep(0.01)
            threading.Thread(target=subscriber.stop).start()
            with pytest.raises(NotReady):
                await task

    run(main())


# Being cancelled


async def flood(publisher: RawPublisher, count: int) -> None:
    def publish() -> None:
        for _ in range(count):
            publisher.publish("A")

    await asyncio.to_thread(publish)


def test_a_cancelled_receive_loses_no_event(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    count = 3000

    async def main() -> list[int]:
        got: list[int] = []
        attempts = 0
        async with new(max_event_count=count) as subscriber:
            await ready(subscriber, publisher)
            flooding = asyncio.create_task(flood(publisher, count))
            while len(got) < count:
                attempts += 1
                task = asyncio.create_task(subscriber.receive())
                # Before it begins, and at each of the steps that follow.
                for _ in range(attempts % 4):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    event = task.result()
                    assert event is not None
                    got.append(event.sequence)
            await flooding
        return got

    assert run(main()) == list(range(count))


def test_a_cancelled_iteration_loses_no_event(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    count = 3000

    async def main() -> list[int]:
        got: list[int] = []
        attempts = 0
        async with new(max_event_count=count) as subscriber:
            await ready(subscriber, publisher)

            async def iterate() -> None:
                async for event in subscriber:
                    got.append(event.sequence)
                    if event.sequence % 7 == 0:
                        await asyncio.sleep(0)

            flooding = asyncio.create_task(flood(publisher, count))
            while len(got) < count:
                attempts += 1
                task = asyncio.create_task(iterate())
                for _ in range(attempts % 5):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            await flooding
        return got

    assert run(main()) == list(range(count))


def test_the_rest_of_a_burst_is_there_after_a_break(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> list[int]:
        got: list[int] = []
        async with new(max_event_count=100) as subscriber:
            await ready(subscriber, publisher)
            for _ in range(100):
                publisher.publish("A")
            async for event in subscriber:
                got.append(event.sequence)
                if len(got) == 10:
                    break
            one = await subscriber.receive()
            assert one is not None
            got.append(one.sequence)
            got += [event.sequence async for event in subscriber]
        return got

    assert run(main()) == list(range(100))


def test_a_cancelled_block_leaves_in_an_orderly_way(
    broker: FakeBroker, new: Callable[..., Subscriber]
) -> None:
    async def main() -> None:
        subscriber = new()

        async def receive() -> None:
            async with subscriber:
                async for _ in subscriber:
                    pass

        task = asyncio.create_task(receive())
        await happens(lambda: subscriber.session >= 0 and subscriber._watcher._waiting)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        with pytest.raises(PubSubError, match="was disconnected"):
            await subscriber.receive(0)

    run(main())
    assert len(broker.farewells()) == 1


def test_a_cancelled_wait_for_the_broker_leaves_nothing(
    broker: FakeBroker, new: Callable[..., Subscriber]
) -> None:
    broker.silent = True
    left = Leftovers()

    async def main() -> None:
        subscriber = new()
        task = asyncio.create_task(subscriber.configure())
        await happens(lambda: broker.of(Register))
        task.cancel()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    assert "pubsub-control" not in left.threads()


# The end, and errors


def test_stop_ends_an_iteration_after_what_has_arrived(
    new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main() -> list[int]:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            got = []
            publisher.publish("A")
            async for event in subscriber:
                got.append(event.sequence)
                if event.sequence == 0:
                    asyncio.get_running_loop().call_later(0.01, subscriber.stop)
            return got

    assert run(main()) == [0]


def test_a_wait_raises_when_the_subscriber_disconnects(
    new: Callable[..., Subscriber],
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            task = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(0)
        with pytest.raises(PubSubError, match="connect"):
            await task
        async with new() as subscriber:
            task = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(0)
            subscriber.stop()
        assert await task is None

    run(main())


def test_an_unconnected_subscriber_says_so(new: Callable[..., Subscriber]) -> None:
    async def main() -> None:
        subscriber = new()
        for use in (subscriber.receive, subscriber.wait_until_ready):
            with pytest.raises(PubSubError, match="call configure first"):
                await use()
        with pytest.raises(PubSubError, match="call configure first"):
            await anext(aiter(subscriber))
        await subscriber.disconnect()

    run(main())


def test_an_unreachable_broker_and_a_refusal_are_errors(
    broker: FakeBroker, new: Callable[..., Subscriber]
) -> None:
    async def main() -> None:
        with unused_port() as port, pytest.raises(BrokerUnreachable):
            async with new(broker_port=port, connect_timeout_s=0.05):
                pass
        broker.refusal = ("model", "the broker is centralized")
        with pytest.raises(RegistrationRefused, match="centralized"):
            await new().configure()

    run(main())


def test_a_refusal_later_ends_the_wait(
    broker: FakeBroker, new: Callable[..., Subscriber]
) -> None:
    async def main() -> None:
        async with new() as subscriber:
            task = asyncio.create_task(subscriber.receive())
            await asyncio.sleep(0)
            broker.refusal = ("model", "the broker is centralized now")
            await asyncio.to_thread(broker.restart)
            with pytest.raises(RegistrationRefused, match="centralized now"):
                await task

    run(main())


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "has begun"])
def test_configure_says_that_another_task_has_disconnected_it(
    new: Callable[..., Subscriber], monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    async def main() -> None:
        subscriber = new()
        runtime = subscriber._runtime
        open_it = runtime.open

        def open_and_disconnect() -> None:
            open_it()
            if ended:
                runtime.close()
            else:
                subscriber._leaving = True

        monkeypatch.setattr(runtime, "open", open_and_disconnect)
        with pytest.raises(PubSubError, match="was disconnected"):
            await subscriber.configure()
        subscriber._leaving = False
        await subscriber.disconnect()

    run(main())


def test_another_loop_may_have_another_subscriber(
    broker: FakeBroker, new: Callable[..., Subscriber], publisher: RawPublisher
) -> None:
    async def main(number: int) -> None:
        async with new() as subscriber:
            await ready(subscriber, publisher)
            publisher.publish("A")
            event = await subscriber.receive()
            assert event is not None
            assert event.sequence == number

    run(main(0))
    broker.session += 1  # the publisher may not have noticed that the first has left
    run(main(1))


def test_notify_writes_the_latencies(
    new: Callable[..., Subscriber], publisher: RawPublisher, tmp_path: Path
) -> None:
    file = tmp_path / "latencies.csv"
    seen: list[int] = []

    async def main() -> None:
        async with new(
            filename=str(file),
            max_event_count=3,
            on_event=lambda event: seen.append(event.sequence),
        ) as subscriber:
            await ready(subscriber, publisher)
            for _ in range(3):
                publisher.publish("A")
            await subscriber.notify()
            assert subscriber.latencies.count == 3

    run(main())
    assert seen == [0, 1, 2]
    assert len(file.read_text().splitlines()) == 4
    assert file.read_text().startswith(",".join(HEADER))
