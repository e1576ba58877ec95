"""Made, configured, closed, once: a call that comes twice, again, too late, or from
elsewhere works or raises one clear error, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.life_program import in_time, open_descriptors, settled
from support.threads import ended, in_thread

from pubsub_broker import Broker
from pubsub_common.errors import PubSubError
from pubsub_common.testing import wait_for

from .conftest import Life

ROLES = pytest.mark.parametrize("role", ["publisher", "subscriber"])


def use(each: Any, role: str) -> None:
    """The minimal use of a configured object."""
    if role == "publisher":
        each.publish_event("a", b"x")
    else:
        each.receive(0)


def refused(work: Callable[[], object]) -> None:
    """In another thread, in time, with an informative error of ours."""

    def run() -> None:
        with pytest.raises(PubSubError, match=r"\w+ \w+"):
            work()

    in_time(run)


@ROLES
def test_configure_twice(life: Life, role: str) -> None:
    each = life.new(role)
    each.configure()
    threads, descriptors = threading.active_count(), open_descriptors()
    for _ in range(3):
        refused(each.configure)
    assert life.registered(role) == 1  # type: ignore[arg-type]
    if life.shell == "threads":  # an event loop has an executor, which grows
        assert threading.active_count() <= threads
    settled(open_descriptors, descriptors + 2, "descriptors")
    use(each, role)
    each.disconnect()
    life.all_gone()


@ROLES
def test_configure_then_with(life: Life, role: str) -> None:
    each = life.new(role)
    each.configure()
    with each:
        assert life.registered(role) == 1  # type: ignore[arg-type]
        use(each, role)
    life.all_gone()


@ROLES
def test_with_twice(life: Life, role: str) -> None:
    each = life.new(role)
    if life.shell == "threads":
        with each:
            use(each, role)
        refused(each.__enter__)
    else:
        each.configure()
        each.disconnect()
        refused(each.configure)
    life.all_gone()


@ROLES
def test_what_is_called_after_disconnect(life: Life, role: str) -> None:
    each = life.publisher() if role == "publisher" else life.subscriber()
    address = getattr(each, "address", "")
    session = each.session
    each.disconnect()
    calls: dict[str, list[Callable[[], object]]] = {
        "publisher": [
            lambda: each.publish_event("a", b"x"),
            lambda: each.publish_event("a", "x"),
            lambda: each.publish_events([b"x"], "a"),
            lambda: each.publish_json("a", 1),
            lambda: each.publish(),
            lambda: each.add_topics(["b"]),
            lambda: each.remove_topics(["a"]),
            lambda: each.wait_for_subscribers(1, 1),
            each.configure,
        ],
        "subscriber": [
            lambda: each.receive(),
            lambda: each.receive(0),
            lambda: each.receive(1),
            lambda: next(iter(each)),
            lambda: next(iter(each.batches())),
            lambda: each.notify(),
            lambda: each.wait_until_ready(1),
            each.configure,
        ],
    }
    for call in calls[role]:
        refused(call)
    for _ in range(2):
        in_time(each.disconnect)
        each.stop()
    assert each.session == session
    assert each.topics
    if role == "publisher":
        assert each.address == address
        assert each.subscriber_count == 0
    else:
        assert each.counts().received == 0
        assert each.event_count == 0
        each.latency_error_ns()
    life.all_gone()


@ROLES
def test_what_is_called_before_configure(life: Life, role: str) -> None:
    each = life.new(role)
    calls: dict[str, list[Callable[[], object]]] = {
        "publisher": [
            lambda: each.publish_event("a", b"x"),
            lambda: each.publish_events([b"x"], "a"),
            lambda: each.publish(),
            lambda: each.wait_for_subscribers(1, 1),
        ],
        "subscriber": [
            lambda: each.receive(),
            lambda: each.receive(0),
            lambda: next(iter(each)),
            lambda: each.notify(),
            lambda: each.wait_until_ready(1),
        ],
    }
    for call in calls[role]:
        refused(call)
    in_time(each.disconnect)
    each.disconnect()


@ROLES
def test_stop_before_configure(life: Life, role: str) -> None:
    each = life.new(role, broker_port=1, connect_timeout_s=20)
    each.stop()
    refused(each.configure)  # immediately, without waiting for a broker
    each.disconnect()


@ROLES
def test_configure_from_two_threads(life: Life, role: str) -> None:
    for _ in range(5):
        each = life.new(role)
        together = threading.Barrier(3)
        results: list[object] = []

        def configure(
            each: Any = each, together: Any = together, results: Any = results
        ) -> None:
            together.wait()
            try:
                each.configure()
                results.append(None)
            except PubSubError as error:
                results.append(str(error))

        threads = [in_thread(configure) for _ in range(3)]
        assert all(ended(thread) for thread in threads)
        assert results.count(None) == 1, results
        assert life.registered(role) == 1  # type: ignore[arg-type]
        use(each, role)
        in_time(each.disconnect)
        life.all_gone()


@ROLES
def test_disconnect_from_many_threads(life: Life, role: str) -> None:
    for _ in range(5):
        each = life.publisher() if role == "publisher" else life.subscriber()
        threads = [in_thread(each.disconnect) for _ in range(4)]
        assert all(ended(thread) for thread in threads)
        refused(lambda each=each: use(each, role))  # type: ignore[misc]
    life.all_gone()


@ROLES
def test_disconnect_while_another_thread_configures(life: Life, role: str) -> None:
    for turn in range(10):
        port = life.port if turn % 2 else 1
        each = life.new(role, broker_port=port, connect_timeout_s=20)

        def configure(each: Any = each) -> None:
            with contextlib.suppress(PubSubError):
                each.configure()

        thread = in_thread(configure)
        time.sleep(0.002 * turn)
        in_time(each.disconnect)
        assert ended(thread)
        in_time(each.disconnect)
        refused(lambda each=each: use(each, role))  # type: ignore[misc]
    life.all_gone()


@pytest.mark.parametrize(
    "way", ["receive", "timeout", "iterate", "batches", "notify", "ready"]
)
def test_disconnect_while_another_thread_receives(life: Life, way: str) -> None:
    publisher = life.publisher("a")
    ended_publishing = threading.Event()

    def publish() -> None:
        while not ended_publishing.is_set():
            publisher.publish_event("a", b"x")
            time.sleep(0.0002)

    publishing = in_thread(publish)
    for turn in range(5):
        each = life.subscriber("a")
        done = threading.Event()
        errors: list[BaseException] = []

        def receive(each: Any = each, done: Any = done, errors: Any = errors) -> None:
            ways: dict[str, Callable[[], object]] = {
                "receive": each.receive,
                "timeout": lambda: each.receive(0.01),
                "iterate": lambda: [None for _ in each],
                "batches": lambda: [None for _ in each.batches()],
                "notify": each.notify,
                "ready": lambda: each.wait_until_ready(5),
            }
            try:
                while not done.is_set():
                    ways[way]()
            except PubSubError:
                pass
            except BaseException as error:
                errors.append(error)

        thread = in_thread(receive)
        time.sleep(0.005 * turn)
        in_time(each.disconnect)
        done.set()
        assert ended(thread)
        assert not errors, errors
    ended_publishing.set()
    assert ended(publishing)
    in_time(publisher.disconnect)
    life.all_gone()


@pytest.mark.parametrize("way", ["publish", "publish_event", "events", "wait"])
def test_disconnect_while_another_thread_publishes(life: Life, way: str) -> None:
    subscriber = life.subscriber("a", queue_limit=3)  # and never receives
    for turn in range(5):
        each = life.publisher(
            "a", overflow="block", queue_limit=3, sleep_period=0, linger_s=0.2
        )
        errors: list[BaseException] = []

        def publish(each: Any = each, errors: Any = errors) -> None:
            payload = bytes(50_000)
            ways: dict[str, Callable[[], object]] = {
                "publish": each.publish,
                "publish_event": lambda: each.publish_event("a", payload),
                "events": lambda: each.publish_events([payload] * 20, "a"),
                "wait": lambda: each.wait_for_subscribers(2, 20),
            }
            try:
                while True:
                    ways[way]()
            except PubSubError:
                pass
            except BaseException as error:
                errors.append(error)

        thread = in_thread(publish)
        time.sleep(0.01 * turn)
        in_time(each.disconnect)
        assert ended(thread)
        assert not errors, errors
    in_time(subscriber.disconnect)
    life.all_gone()


def test_topics_from_many_threads(life: Life) -> None:
    publisher = life.publisher("base", connect_timeout_s=20)
    together = threading.Barrier(8)
    errors: list[BaseException] = []

    def change(number: int) -> None:
        together.wait()
        try:
            for turn in range(5):
                publisher.add_topics([f"{number}/{turn}", f"{number}/x"])
                publisher.remove_topics([f"{number}/x"])
        except BaseException as error:
            errors.append(error)

    threads = [in_thread(lambda n=n: change(n)) for n in range(8)]  # type: ignore[misc]
    assert all(ended(thread) for thread in threads)
    assert not errors, errors
    expected = {"base", *(f"{n}/{turn}" for n in range(8) for turn in range(5))}
    assert set(publisher.topics) == expected
    from support.running_roles import registered

    wait_for(
        lambda: (
            [set(client.topics) for client in registered(life.port, "publisher")]
            == [expected]
        ),
        "the broker's topics",
    )
    publisher.publish_event("7/4", b"x")


def test_a_broker_has_one_life() -> None:
    broker = Broker(indefinite=True, port=0)
    broker.configure()
    refused(broker.configure)
    with broker:
        thread = in_thread(broker.event_loop)
        refused(broker.configure)
    assert ended(thread)
    for call in (broker.configure, broker.__enter__, broker.event_loop):
        refused(call)
    broker.stop()
    in_time(broker.disconnect)
    assert broker.event_count == 0


def test_a_broker_that_is_ended_from_many_threads() -> None:
    for turn in range(10):
        broker = Broker(turn % 2 == 0, indefinite=True, port=0)
        broker.configure()
        loop = in_thread(broker.event_loop)
        ends = [in_thread(broker.disconnect) for _ in range(3)]
        assert all(ended(thread) for thread in (*ends, loop))
