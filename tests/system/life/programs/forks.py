"""Children of a fork: they cannot use the objects of their parent, and nothing that
they do, or omit, affects the parent."""

from __future__ import annotations

import asyncio
import atexit
import faulthandler
import gc
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from support.life_program import (
    WAIT_S,
    Receiving,
    Roles,
    check_counts,
    in_time,
    main,
    settled,
)
from support.running_roles import status

from pubsub_broker import Broker
from pubsub_common.errors import PubSubError
from pubsub_publisher import Publisher
from pubsub_publisher import aio as publisher_aio
from pubsub_subscriber import aio as subscriber_aio

# Of processor time; a child in a busy loop takes far more.
_MOST_CPU_S = 3.0


def in_child(work: Callable[[], object], *, leave: str = "exit") -> str:
    """Run ``work`` in a child; returns its standard error. ``leave`` is how the child
    ends: ``exit`` with finalizers and atexit, or ``at once``, without.

    Raises:
        AssertionError: it failed, hung or looped.
    """
    sys.stdout.flush()
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_fd)
            os.dup2(write_fd, 2)
            # The watchdog of `faulthandler` is a thread, which the child does not have.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(int(WAIT_S))
            resource.setrlimit(resource.RLIMIT_CPU, (int(WAIT_S), int(WAIT_S)))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        if leave == "at once" or code:
            os._exit(code)
        # Like the end of a program: `sys.exit`, instead of returning into the parent's
        # stack.

        atexit._run_exitfuncs()
        gc.collect()
        sys.stdout.flush()
        os._exit(code)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as pipe:
        told = pipe.read().decode()
    _, state, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(state)
    assert code == 0, f"the child ended with {code}:\n{told}"
    assert usage.ru_utime < _MOST_CPU_S, f"{usage.ru_utime} s of processor time"
    return told


def refused(work: Callable[[], object]) -> None:
    """``work`` raises the one error of a child, immediately."""
    begun = time.process_time()
    try:
        work()
    except PubSubError as error:
        assert "another process" in str(error), error
    else:
        raise AssertionError(f"{work} works in a child")
    assert time.process_time() - begun < 1.0


class Parent:
    """The objects of a parent when it forks."""

    def __init__(self, roles: Roles) -> None:
        self.roles = roles
        self.publisher = roles.publisher("a", history=10)
        self.subscriber = roles.subscriber("a")
        self.publisher.wait_for_subscribers(1, WAIT_S)
        self.number = 0
        self.clients = self._clients()

    def _clients(self) -> list[tuple[str, int]]:
        return sorted((c.role, c.session) for c in status(self.roles.port).clients)

    def goes_on(self) -> None:
        """Everything works as before, with the same sessions."""
        for _ in range(20):
            self.number += 1
            payload = b"%d" % self.number
            self.publisher.publish_event("a", payload)
            event = self.subscriber.receive(10)
            assert event is not None, f"{payload!r} is lost"
            assert event.payload == payload
        assert self._clients() == self.clients, (self._clients(), self.clients)
        check_counts(self.subscriber, self.number)


def calls(model: str, role: str) -> None:
    """Each method in a child: one clear error, immediately, and no change for the
    parent."""
    with Roles(model) as roles:
        parent = Parent(roles)
        publisher, subscriber = parent.publisher, parent.subscriber
        each = publisher if role == "publisher" else subscriber
        of: dict[str, list[Callable[[], object]]] = {
            "publisher": [
                lambda: publisher.publish_event("a", b"x"),
                lambda: publisher.publish_event("a", "x"),
                lambda: publisher.publish_events([b"x"], "a"),
                lambda: publisher.publish_json("a", 1),
                publisher.publish,
                lambda: publisher.add_topics(["b"]),
                lambda: publisher.remove_topics(["a"]),
                lambda: publisher.wait_for_subscribers(1, 5),
                publisher.generate_publish_event,
            ],
            "subscriber": [
                subscriber.receive,
                lambda: subscriber.receive(5),
                lambda: subscriber.receive(0),
                lambda: next(iter(subscriber)),
                lambda: next(subscriber.batches()),
                subscriber.notify,
                subscriber.parse_publish_event,
                lambda: subscriber.wait_until_ready(5),
            ],
        }

        def work() -> None:
            for call in of[role]:
                refused(call)
            refused(each.configure)
            refused(lambda: each.__enter__())
            each.stop()
            for _ in range(2):
                each.disconnect()
            repr(each)
            assert each.session >= 0
            refused(of[role][0])

        told = in_child(work)
        assert "Warning" not in told, told
        parent.goes_on()
        in_time(publisher.disconnect, "disconnect")
        in_time(subscriber.disconnect, "disconnect")
        settled(lambda: len(status(roles.port).clients), 0, "clients")


def ends(model: str, how: str) -> None:
    """Ways in which a child drops its inherited objects."""

    def drop(parent: Parent) -> None:
        parent.roles.forget()
        del parent.publisher, parent.subscriber
        gc.collect()

    def disconnect(parent: Parent) -> None:
        parent.publisher.disconnect()
        parent.subscriber.disconnect()

    def end_broker(parent: Parent) -> None:
        parent.roles.broker.stop()
        parent.roles.broker.disconnect()

    ways: dict[str, Callable[[Parent], object]] = {
        "nothing": lambda parent: None,
        "disconnect": disconnect,
        "collect": drop,
        "close": lambda parent: parent.roles.close(),
        "broker": end_broker,
        "exit": lambda parent: parent.subscriber.__exit__(None, None, None),
    }
    with Roles(model) as roles:
        parent = Parent(roles)
        for leave in ("exit", "at once"):
            told = in_child(lambda: ways[how](parent), leave=leave)
            assert told == "", told
            parent.goes_on()


def while_busy(model: str, times: int = 10) -> None:
    """Forks while other threads publish and receive, so that locks are held and events
    are under way; the children end, and the parent loses nothing."""
    with Roles(model) as roles:
        publisher = roles.publisher("a")
        receiving = Receiving(roles.subscriber("a"))
        publisher.wait_for_subscribers(1, WAIT_S)
        ended = False
        number = 0

        def publish() -> None:
            nonlocal number
            while not ended:
                number += 1
                publisher.publish_event("a", b"%d" % number)
                if number % 100 == 0:
                    time.sleep(0.001)

        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        for turn in range(times):

            def work() -> None:
                refused(lambda: publisher.publish_event("a", b"0"))
                refused(lambda: receiving.subscriber.receive(1))
                publisher.disconnect()
                receiving.subscriber.disconnect()

            in_child(work, leave="exit" if turn % 2 else "at once")
        ended = True
        in_time(thread.join, "the publishing thread")
        publisher.publish_event("a", b"end")
        receiving.ends_with(b"end")
        receiving.stop()
        assert receiving.payloads[:-1] == [b"%d" % n for n in range(1, number + 1)]
        check_counts(receiving.subscriber, number + 1)
        print(f"{number} events, {times} children")


def own_objects(model: str) -> None:
    """A child makes its own objects; the parent's and the child's work in parallel. So
    does the child's child."""
    with Roles(model) as roles:
        parent = Parent(roles)

        def work() -> None:
            publisher = roles.new_publisher("child")
            subscriber = roles.new_subscriber("child")
            with publisher, subscriber:
                publisher.wait_for_subscribers(1, WAIT_S)
                publisher.publish_event("child", b"x")
                event = subscriber.receive(10)
                assert event is not None
                assert event.payload == b"x"
                refused(lambda: parent.publisher.publish_event("a", b"x"))

                def grandchild() -> None:
                    refused(lambda: publisher.publish_event("child", b"x"))
                    refused(lambda: parent.subscriber.receive(1))

                in_child(grandchild)
                publisher.publish_event("child", b"y")
                event = subscriber.receive(10)
                assert event is not None
                assert event.payload == b"y"

        in_child(work)
        parent.goes_on()


def not_configured(model: str) -> None:
    """Objects made but not configured before a fork: they work in both, or raise one
    clear error."""
    with Roles(model) as roles:
        publisher, subscriber = roles.new_publisher("n"), roles.new_subscriber("n")

        def work() -> None:
            try:
                publisher.configure()
            except PubSubError as error:
                assert "another process" in str(error), error
            publisher.disconnect()
            subscriber.stop()

        in_child(work)
        with publisher, subscriber:
            publisher.wait_for_subscribers(1, WAIT_S)
            publisher.publish_event("n", b"x")
            assert subscriber.receive(10) is not None


def of_multiprocessing(model: str, how: str) -> None:
    """`multiprocessing` with the fork context: children end normally, with atexit; a pool
    with workers forked before and after `configure`."""
    context = multiprocessing.get_context("fork")
    with Roles(model) as roles:
        parent = Parent(roles)
        global _shared
        _shared = parent
        if how == "process":
            results = context.Queue()
            processes = [
                context.Process(target=_worker, args=(results, roles.port, number))
                for number in range(3)
            ]
            for process in processes:
                process.start()
            answers = sorted(results.get(timeout=WAIT_S) for _ in processes)
            for process in processes:
                process.join(WAIT_S)
                assert process.exitcode == 0, process.exitcode
        else:
            with context.Pool(2) as pool:
                jobs = pool.map_async(_job, [(roles.port, n) for n in range(3)])
                answers = sorted(jobs.get(WAIT_S))
        assert answers == [(n, True) for n in range(3)], answers
        parent.goes_on()


_shared: Any = None


def _worker(results: Any, port: int, number: int) -> None:
    results.put(_job((port, number)))


def _job(what: tuple[int, int]) -> tuple[int, bool]:
    """Tries the parent's publisher, then publishes with its own."""
    port, number = what
    try:
        _shared.publisher.publish_event("a", b"x")
    except PubSubError as error:
        with Publisher(topics=[f"w{number}"], broker_port=port, bind_port=0) as own:
            own.publish_event(f"w{number}", b"x")
        return number, "another process" in str(error)
    return number, False


def asyncio_objects(model: str) -> None:
    """The asyncio objects: a child of a program with a running loop."""

    async def run() -> None:
        publisher = publisher_aio.Publisher(
            topics=["a"], broker_port=roles.port, bind_port=0
        )
        subscriber = subscriber_aio.Subscriber(
            topics=["a"],
            broker_port=roles.port,
            centralized=roles.centralized,
            indefinite=True,
        )
        async with publisher, subscriber:
            await publisher.wait_for_subscribers(1, WAIT_S)
            clients = len(status(roles.port).clients)

            def work() -> None:
                for make in (
                    lambda: publisher.publish_event("a", b"x"),
                    lambda: publisher.publish_events([b"x"], "a"),
                    lambda: publisher.wait_for_subscribers(1, 3),
                    lambda: subscriber.receive(3),
                    lambda: subscriber.receive(0),
                    lambda: anext(aiter(subscriber)),
                    lambda: anext(subscriber.batches()),
                    lambda: subscriber.wait_until_ready(3),
                    lambda: publisher.configure(),
                ):
                    _refused_in_new_loop(make)
                asyncio.events._set_running_loop(None)
                asyncio.run(_leave(publisher, subscriber))

            told = in_child(work)
            assert "never awaited" not in told, told
            for number in range(20):
                await publisher.publish_event("a", b"%d" % number)
                event = await subscriber.receive(10)
                assert event is not None
                assert event.payload == b"%d" % number
            assert len(status(roles.port).clients) == clients
        settled(lambda: len(status(roles.port).clients), 0, "clients")

    with Roles(model) as roles:
        asyncio.run(run())


async def _leave(*each: Any) -> None:
    for one in each:
        await one.disconnect()


def _refused_in_new_loop(make: Callable[[], Any]) -> None:
    async def run() -> None:
        await make()

    asyncio.events._set_running_loop(None)
    refused(lambda: asyncio.run(run()))


def of_broker(model: str) -> None:
    """A broker's methods in a child: clear errors; its `disconnect` and end do not
    affect the parent's clients, and their leases continue."""
    with Roles(model) as roles:
        parent = Parent(roles)
        broker: Broker = roles.broker

        def work() -> None:
            refused(broker.configure)
            refused(broker.event_loop)
            refused(lambda: broker.parse_events(0))
            broker.stop()
            broker.disconnect()
            with Broker(indefinite=True, port=0) as own:
                assert own.port != broker.port

        in_child(work)
        parent.goes_on()


def with_signals(model: str) -> None:
    """A child that gets SIGTERM, with the parent's handler that disconnects: only it ends."""
    with Roles(model) as roles:
        parent = Parent(roles)

        def end(*_: object) -> None:
            parent.publisher.disconnect()
            parent.subscriber.disconnect()
            os._exit(0)

        signal.signal(signal.SIGTERM, end)

        def work() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(WAIT_S)

        in_child(work)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        parent.goes_on()


if __name__ == "__main__":
    main(
        {
            each.__name__: each
            for each in (
                calls,
                ends,
                while_busy,
                own_objects,
                not_configured,
                of_multiprocessing,
                asyncio_objects,
                of_broker,
                with_signals,
            )
        }
    )
