"""Large events between roles on one host go by shared memory, and mean the same."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.rings import full_size
from support.running_roles import (
    WAIT_S,
    Gaps,
    Receiver,
    RunningBroker,
    Security,
)

from pubsub_common.defaults import SHARED_MEMORY_FROM
from pubsub_common.shared_memory.library import library
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("iceoryx2") is None,
    reason="needs the extra pubsub-publisher[shm]",
)

LARGE = 4 * SHARED_MEMORY_FROM
TESTS = Path(__file__).parents[1]
# In `make test-long` 100.
KILLS = 100 if full_size() else 6


class Roles:
    """A decentralized broker, and its clients on this host."""

    def __init__(self, stack: contextlib.ExitStack, **options: Any) -> None:
        self._stack = stack
        self.broker = RunningBroker("decentralized", **options)
        stack.callback(self.broker.stop)
        self._options: dict[str, Any] = {
            "broker_address": f"127.0.0.1:{self.broker.port}",
            "topics": ["A"],
        }

    def publisher(self, **options: Any) -> Publisher:
        given = {**self._options, "bind_port": 0, **options}
        return self._stack.enter_context(Publisher(**given))

    def receiver(self, *, most: int | None = None, **options: Any) -> Receiver:
        given = {**self._options, "indefinite": True, **options}
        subscriber = self._stack.enter_context(Subscriber(**given))
        receiver = Receiver(subscriber, most)
        self._stack.callback(receiver.stop)
        return receiver


@pytest.fixture
def roles() -> Iterator[Roles]:
    with contextlib.ExitStack() as stack:
        yield Roles(stack)


def publish_until_used(publisher: Publisher, size: int = LARGE) -> Iterator[bytes]:
    """Publish large events until they go by shared memory, and some more; the payloads."""
    numbers = itertools.count()

    def publish() -> bytes:
        payload = next(numbers).to_bytes(8) + bytes(size)
        publisher.publish_event("A", payload)
        return payload

    while not publisher.shared_memory_events:
        yield publish()
    for _ in range(100):
        yield publish()


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_large_and_small_events_of_a_stream_arrive_in_order(
    roles: Roles, overflow: str
) -> None:
    gaps = Gaps()
    receivers = [
        roles.receiver(on_gap=gaps.append),
        roles.receiver(on_gap=gaps.append, shared_memory="off"),
    ]
    publisher = roles.publisher(overflow=overflow)
    sent = []
    for payload in publish_until_used(publisher):
        sent.append(payload)
        for small in (b"small", b"", bytes(SHARED_MEMORY_FROM - 1)):
            publisher.publish_event("A", small)
            sent.append(small)
        wait_for(
            lambda: all(len(each.events) > len(sent) - 200 for each in receivers),
            "the subscribers",
        )

    for receiver in receivers:
        receiver.wait_for_events(len(sent))
        receiver.check_order()
        assert receiver.payloads == sent
    assert gaps == []


def test_views_are_of_the_memory_or_of_the_bytes(roles: Roles) -> None:
    receiver = roles.receiver(views=True)
    publisher = roles.publisher(overflow="block")
    sent = []
    for payload in publish_until_used(publisher):
        sent.append(payload)
        publisher.publish_event("A", b"small")
        sent.append(b"small")
        receiver.wait_for_events(len(sent))
        assert isinstance(receiver.events[-1].payload, memoryview)
        if not publisher.shared_memory_events:
            continue
        # A kept view keeps its memory, so copies are compared.
        for event in receiver.events[-2:]:
            event.payload = bytes(event.payload)
    assert [bytes(payload) for payload in receiver.payloads] == sent
    receiver.check_order()


@pytest.mark.parametrize("by_tcp_too", [False, True])
@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_events_without_a_pause_share_memory_and_order(
    roles: Roles,
    views: bool,
    overflow: str,
    by_tcp_too: bool,
) -> None:
    """Many are in one sample then, and a view of one keeps it."""
    gaps = Gaps()
    receiver = roles.receiver(views=views, on_gap=gaps.append, most=8)
    receivers = [receiver]
    if by_tcp_too:
        receivers.append(
            roles.receiver(shared_memory="off", on_gap=gaps.append, most=8)
        )
    publisher = roles.publisher(overflow=overflow)
    sent = list(publish_until_used(publisher))
    receiver.wait_for_events(len(sent))
    before = publisher.shared_memory_events
    for number in range(20):
        for size in (LARGE, LARGE // 4, 2 * LARGE, 100):
            for _ in range(25):
                sent.append(number.to_bytes(8) + bytes(size))
                publisher.publish_event("A", sent[-1])
        many = [number.to_bytes(8) + bytes(LARGE)] * 40
        publisher.publish_events(many, topic="A")
        sent += many
        for each in receivers:
            each.wait_for_events(len(sent))

    assert publisher.shared_memory_events > before
    assert gaps == []
    for each in receivers:
        assert each.payloads == [payload[:8] for payload in sent]
        each.check_order()
        assert each.subscriber.counts().lost == 0


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_each_subscriber_has_the_events_of_its_topics_alone(
    roles: Roles, overflow: str
) -> None:
    """All share the memory of one publisher."""
    topics = (["A"], ["B"], ["A", "B"])
    receivers = [roles.receiver(topics=each, most=8) for each in topics]
    publisher = roles.publisher(topics=["A", "B"], overflow=overflow)
    sent: dict[str, list[bytes]] = {"A": [], "B": []}

    def publish(topic: str, payload: bytes) -> None:
        sent[topic].append(payload[:8])
        publisher.publish_event(topic, payload)

    def arrived() -> None:
        for each, wanted in zip(receivers, topics, strict=True):
            each.wait_for_events(sum(len(sent[topic]) for topic in wanted))

    for payload in publish_until_used(publisher):
        sent["A"].append(payload[:8])
        publish("B", payload)
    arrived()
    for number in range(20):
        for size in (LARGE, LARGE // 4, 2 * LARGE, 100):
            for repeated in range(25):
                publish("AB"[repeated % 3 % 2], number.to_bytes(8) + bytes(size))
        many = [number.to_bytes(8) + bytes(LARGE)] * 40
        publisher.publish_events(many, topic="B")
        sent["B"] += [payload[:8] for payload in many]
        arrived()

    for each, wanted in zip(receivers, topics, strict=True):
        for topic in wanted:
            found = [e.payload for e in each.events if e.topic == topic]
            assert found == sent[topic]
        each.check_order()


def publish_more(
    publisher: Publisher, count: int, pause_s: float = 0.0, size: int = LARGE
) -> Iterator[int]:
    """Publish large events until so many more have gone by shared memory; a 1 for each."""
    until = publisher.shared_memory_events + count
    deadline = time.monotonic() + WAIT_S
    while publisher.shared_memory_events < until:
        assert time.monotonic() < deadline, "they go by TCP"
        publisher.publish_event("A", bytes(size))
        yield 1
        time.sleep(pause_s)


def test_subscribers_that_join_at_once_share_memory_soon(roles: Roles) -> None:
    """New memory is used when all have seen it, also those that open it meanwhile."""
    publisher = roles.publisher(overflow="block")
    with ThreadPoolExecutor(4) as pool:
        joined = [pool.submit(roles.receiver, most=8) for _ in range(4)]
        sent = sum(publish_more(publisher, 20, 0.001))
    for each in [future.result() for future in joined]:
        each.wait_for_last(sent - 1)
        each.check_order()


def test_one_that_joins_in_mid_stream_misses_nothing(roles: Roles) -> None:
    """It receives whole frames first, of which some are on their way when it begins to receive
    references."""
    first = roles.receiver(most=8)
    publisher = roles.publisher(overflow="block")
    sent = sum(1 for _ in publish_until_used(publisher))
    for _ in range(3):
        other = roles.receiver(most=8)
        sent += sum(publish_more(publisher, 2000))
        other.wait_for_last(sent - 1)
        other.check_order()
        other.subscriber.disconnect()
    first.wait_for_events(sent)
    first.check_order()


def test_one_that_has_left_keeps_no_memory_from_the_others(roles: Roles) -> None:
    """Not even while the program keeps the object."""
    receivers = [roles.receiver(most=8) for _ in range(2)]
    publisher = roles.publisher(overflow="block")
    sent = sum(1 for _ in publish_until_used(publisher))
    receivers[1].subscriber.disconnect()
    for count in publish_more(publisher, 500):
        sent += count
        receivers[0].wait_for_events(sent)
    receivers[0].check_order()


def test_a_secure_broker_uses_it_only_when_both_sides_say_so(tmp_path: Path) -> None:
    security = Security(tmp_path / "keys")
    for option in ("auto", "on"):
        with contextlib.ExitStack() as stack:
            roles = Roles(stack, secure=security.folder)
            receiver = roles.receiver(keys=security.subscriber, shared_memory=option)
            publisher = roles.publisher(
                keys=security.publisher, shared_memory=option, overflow="block"
            )
            if option == "on":
                sent = sum(1 for _ in publish_until_used(publisher))
            else:
                sent = 100
                for _ in range(sent):
                    publisher.publish_event("A", bytes(LARGE))
            receiver.wait_for_events(sent)
            receiver.check_order()
            assert bool(publisher.shared_memory_events) == (option == "on")


PUBLISH = """
import sys, time
from pubsub_publisher import Publisher
with Publisher(sys.argv[1], ["A"], bind_port=0) as publisher:
    while True:
        publisher.publish_event("A", bytes(65536))
        time.sleep(0.0005)
"""
RECEIVE = """
import sys
from pubsub_subscriber import Subscriber
with Subscriber(broker_address=sys.argv[1], topics=["A"], indefinite=True) as subscriber:
    for count, event in enumerate(subscriber):
        if count % 100 == 0:
            print(count, flush=True)
"""


def left() -> int:
    """The bytes of all files of shared memory."""
    memory = Path("/dev/shm")
    sizes = []
    for path in (*memory.glob("pubsub_*"), *memory.glob("pubsub-*/**/*")):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                sizes.append(path.stat().st_size)
    return sum(sizes)


def in_own_memory(
    room: str, work: Callable[[], None]
) -> subprocess.CompletedProcess[str]:
    """Run a function of this module in a process with a `/dev/shm` of this size."""
    mount = f'mount -t tmpfs -o size={room} tmpfs /dev/shm && exec "$@"'
    words = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, __file__]
    try:
        run = subprocess.run(
            [*words, work.__name__],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            timeout=600,
        )
    except OSError:
        pytest.skip("needs unshare")
    if "unshare" in run.stderr or "mount:" in run.stderr:
        pytest.skip(f"needs user namespaces: {run.stderr}")
    assert run.returncode == 0, run.stderr
    return run


def test_killed_processes_stop_nobody_and_leave_no_memory() -> None:
    """Both sides in turn; those in the process that kills them continue."""
    in_own_memory("1g", kill_processes)


def kill_processes() -> None:
    with contextlib.ExitStack() as stack:
        kill_each_side(Roles(stack))
    library().clean_up()  # as the next process does
    assert left() < 65_536  # the files of this process


def kill_each_side(roles: Roles) -> None:
    receiver = roles.receiver()
    publisher = roles.publisher(overflow="block")
    address = f"127.0.0.1:{roles.broker.port}"
    for _ in publish_until_used(publisher):
        pass
    most = 0
    for turn in range(KILLS):
        code = (PUBLISH, RECEIVE)[turn % 2]
        argv = [sys.executable, "-c", code, address]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as other:
            before = len(receiver.events)
            for _ in range(50 + 50 * (turn % 3)):
                publisher.publish_event("A", bytes(LARGE))
                time.sleep(0.005)
            other.kill()
        receiver.wait_for_events(before + 50)
        del receiver.events[:]
        most = max(most, left())
    # That of some processes: the next one to come or go cleans up.
    assert most < 64 * 2**20
    assert receiver.subscriber.counts().lost == 0


@pytest.mark.parametrize("size", [LARGE, 8 * LARGE])
def test_one_that_stops_and_is_killed_gives_back_all_memory(
    roles: Roles, size: int
) -> None:
    """It holds all samples, or has not seen the new memory of another size."""
    receiver = roles.receiver(most=8)
    publisher = roles.publisher(overflow="block")
    argv = [sys.executable, "-c", RECEIVE, f"127.0.0.1:{roles.broker.port}"]
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(other.kill)
        assert other.stdout is not None
        publisher.wait_for_subscribers(2, WAIT_S)
        sent = sum(1 for _ in publish_until_used(publisher))
        assert other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        for _ in range(100):
            publisher.publish_event("A", bytes(size))
    sent += 100 + sum(publish_more(publisher, 100, 0.001, size))
    receiver.wait_for_events(sent)
    receiver.check_order()


@pytest.mark.parametrize("room", ["16k", "1m", "2m"])
def test_without_room_large_events_go_by_tcp(room: str) -> None:
    """`/dev/shm` is tiny, in a namespace of its own. One line says so, and nothing ends."""
    run = in_own_memory(room, exchange_in_little_room)
    assert run.stdout.split() == ["200"]
    assert run.stderr.count("no shared memory") == 1


def exchange_in_little_room() -> None:
    """Publish large events and receive them, in this process."""
    logging.basicConfig()
    with contextlib.ExitStack() as stack:
        roles = Roles(stack)
        receiver = roles.receiver()
        publisher = roles.publisher(overflow="block")
        for _ in range(200):
            publisher.publish_event("A", bytes(LARGE))
            time.sleep(0.005)
        receiver.wait_for_events(200)
        print(len(receiver.events))


if __name__ == "__main__":
    globals()[sys.argv[1]]()  # as `in_own_memory` asks
