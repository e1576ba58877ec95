"""Objects without `disconnect`: dropped, in reference cycles, collected in other
threads, or present when the program ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from support.life_program import (
    SLACK,
    WAIT_S,
    Receiving,
    Roles,
    check_counts,
    in_time,
    main,
    numbers,
    open_descriptors,
    settled,
)
from support.running_roles import status

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_publisher import aio as publisher_aio
from pubsub_subscriber import Subscriber
from pubsub_subscriber import aio as subscriber_aio


def new(roles: Roles, role: str) -> Any:
    """A configured object with no other reference."""
    more: dict[str, Any] = {"broker_port": roles.port, "topics": ["a"]}
    each: Any
    match role:
        case "publisher":
            each = Publisher(bind_port=0, history=10, **more)
        case "subscriber":
            each = Subscriber(indefinite=True, centralized=roles.centralized, **more)
        case "broker":
            each = Broker(roles.centralized, indefinite=True, port=0)
    each.configure()
    return each


def dropped(model: str, role: str, how: str, times: int = 5) -> None:
    """A ResourceWarning, no wait at the drop, and soon nothing is left of it."""
    with Roles(model) as roles:
        new(roles, role).disconnect()
        threads, descriptors = threading.active_count(), open_descriptors()
        for _ in range(times):
            each = new(roles, role)
            prepare(each, role, how)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                if how == "in another thread":
                    gc.disable()
                    circle = [each]
                    circle.append(circle)
                    del circle, each
                    in_time(gc.collect, "the collector")
                    gc.enable()
                elif how == "in a cycle":
                    each.itself = each
                    del each
                    gc.collect()
                else:
                    del each
                    gc.collect()
                settled(lambda told=told: 1 - len(told), 0, "warnings")  # type: ignore[misc]
            assert [each.category for each in told] == [ResourceWarning], told
            assert role in str(told[0].message), told[0].message
        settled(lambda: len(status(roles.port).clients), 0, "clients at the broker")
        settled(threading.active_count, threads, "threads")
        settled(open_descriptors, descriptors + SLACK, "descriptors")


def prepare(each: Any, role: str, how: str) -> None:
    """The calls before it is dropped."""
    if how == "used" and role == "publisher":
        for _ in range(100):
            each.publish_event("a", b"x")
    elif how == "used" and role == "subscriber":
        iterator = iter(each)
        each.receive(0)
        each.stop()
        for _ in iterator:
            pass
    elif how == "used":
        thread = threading.Thread(target=each.event_loop, daemon=True)
        thread.start()
        each.stop()
        thread.join(10)
    elif how == "stopped":
        each.stop()


def not_configured(model: str) -> None:
    """An object that was only made, or was disconnected, disappears without a warning."""
    with Roles(model) as roles, warnings.catch_warnings():
        warnings.simplefilter("error")
        threads, descriptors = threading.active_count(), open_descriptors()
        for _ in range(20):
            roles.new_publisher()
            roles.new_subscriber()
            Broker(indefinite=True, port=0)
        assert open_descriptors() <= descriptors
        assert threading.active_count() <= threads
        with roles.new_publisher(), roles.new_subscriber(), Broker(port=0):
            pass
        in_time(gc.collect, "the collector")


def keeps_running(model: str) -> None:
    """A subscriber referenced only by its iterating thread, and a publisher referenced
    only by its publishing thread, continue; dropping another reference harms neither.
    """
    with Roles(model) as roles:
        publisher = new(roles, "publisher")
        subscriber = new(roles, "subscriber")
        events = iter(subscriber)
        del subscriber
        gc.collect()
        publisher.wait_for_subscribers(1, WAIT_S)
        publish = publisher.publish_event
        del publisher
        gc.collect()
        for number in range(50):
            publish("a", b"%d" % number)
            assert next(events).payload == b"%d" % number


def callback_raised(model: str) -> None:
    """A subscriber that its own callback has finished, dropped."""

    def fails(*_: object) -> None:
        raise ValueError("a mistake of the user")

    with Roles(model) as roles:
        each: Any = roles.new_subscriber(on_publisher=fails)
        each.configure()
        with roles.new_publisher(), contextlib.suppress(Exception):
            each.receive(5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del each
            in_time(gc.collect, "the collector")
        settled(lambda: len(status(roles.port).clients), 0, "clients at the broker")


def asyncio_dropped(model: str, times: int = 3) -> None:
    """The asyncio objects, dropped while the loop runs, and after its end."""

    async def make(roles: Roles) -> tuple[Any, Any]:
        publisher = publisher_aio.Publisher(
            topics=["a"], broker_port=roles.port, bind_port=0
        )
        subscriber = subscriber_aio.Subscriber(
            topics=["a"],
            broker_port=roles.port,
            centralized=roles.centralized,
            indefinite=True,
        )
        await publisher.configure()
        await subscriber.configure()
        await publisher.wait_for_subscribers(1, WAIT_S)
        await publisher.publish_event("a", b"x")
        assert await subscriber.receive(10) is not None
        return publisher, subscriber

    async def within(roles: Roles) -> None:
        both = await make(roles)
        del both
        gc.collect()
        while status(roles.port).clients:
            await asyncio.sleep(0.01)

    with Roles(model) as roles:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asyncio.run(within(roles))
            threads, descriptors = threading.active_count(), open_descriptors()
            for _ in range(times):
                both = asyncio.run(make(roles))
                del both
                in_time(gc.collect, "the collector")
        settled(lambda: len(status(roles.port).clients), 0, "clients at the broker")
        settled(threading.active_count, threads, "threads")
        settled(open_descriptors, descriptors + SLACK, "descriptors")


# Programs that end


_BEGIN = """
import sys
from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber
port, more = int(sys.argv[1]), {more!r}
publisher = Publisher(topics=["a"], bind_port=0, broker_port=port, **more)
publisher.configure()
publisher.wait_for_subscribers(1, 60)
def publish(first, last, size=2000):
    for number in range(first, last + 1):
        publisher.publish_event("a", b"%d " % number + b"y" * size)
"""

# Ways in which a program may end; each has accepted 3,000 events.
ENDINGS: dict[str, str] = {
    "end": "publish(1, 3000)",
    "exit": "publish(1, 3000)\nsys.exit(0)",
    "exception": "publish(1, 3000)\nraise SystemExit",
    "small": "publish(1, 3000, 0)",
    "many": """
publisher.publish_events([b"%d " % n + b"y" * 2000 for n in range(1, 3001)], "a")
""",
    "in a function": """
def work():
    global publisher
    publish(1, 3000)
    own, publisher = publisher, None
    own.itself = own
work()
""",
    "in a thread": """
import threading
thread = threading.Thread(target=publish, args=(1, 3000))
thread.start()
""",
    "in atexit": "import atexit\natexit.register(publish, 1, 3000)",
    "with a subscriber": """
subscriber = Subscriber(topics=["a", "b"], broker_port=port, indefinite=True)
subscriber.configure()
publish(1, 3000)
subscriber.receive(5)
""",
    "with a broker": """
import threading
broker = Broker(True, indefinite=True, port=0)
broker.configure()
threading.Thread(target=broker.event_loop, daemon=True).start()
publish(1, 3000)
""",
    "stopped": "publish(1, 3000)\npublisher.stop()",
    "daemon thread receives": """
import threading
subscriber = Subscriber(topics=["a"], broker_port=port, indefinite=True)
subscriber.configure()
threading.Thread(target=lambda: [None for event in subscriber], daemon=True).start()
publish(1, 3000)
""",
    "multiprocessing": """
import multiprocessing
def child(): pass
multiprocessing.get_context("fork").Process(target=child).start()
publish(1, 3000)
""",
}
_ASYNCIO = """
import asyncio, sys
from pubsub_publisher.aio import Publisher
async def work():
    global publisher
    publisher = Publisher(topics=["a"], bind_port=0, broker_port=int(sys.argv[1]))
    await publisher.configure()
    await publisher.wait_for_subscribers(1, 60)
    for number in range(1, 3001):
        await publisher.publish_event("a", b"%d " % number + b"y" * 2000)
asyncio.run(work())
"""


def program_ends(model: str, how: str, **more: Any) -> None:
    """A program that publishes at full speed and ends without `disconnect`: all
    accepted events arrive, then the broker is notified."""
    code = _ASYNCIO if how == "asyncio" else _BEGIN.format(more=more) + ENDINGS[how]
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber())
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "always", "-c", code, str(roles.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        print(done.stdout)
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout
        assert "Fatal" not in done.stdout
        settled(lambda: 3000 - len(receiving.payloads), 0, "missing")
        # It disconnected, and did not expire.
        clients = [c for c in status(roles.port).clients if c.role == "publisher"]
        assert not clients, clients
        receiving.stop()
        assert numbers(receiving.payloads) == list(range(1, 3001))
        check_counts(receiving.subscriber, 3000)


def broker_ends() -> None:
    """A program with a broker that ends: its clients are notified."""
    code = """
import sys, threading
from pubsub_broker import Broker
broker = Broker(True, indefinite=True, port=int(sys.argv[1]))
broker.configure()
if len(sys.argv) > 2:
    threading.Thread(target=broker.event_loop, daemon=True).start()
print("there", flush=True)
sys.stdin.read()
"""
    from support.ports import free_port

    for words in ([], ["loop"]):
        program = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", code, str(free_port()), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "there\n"
        told, _ = program.communicate("", timeout=100)
        print(told)
        assert program.returncode == 0, told
        assert "Traceback" not in told
        assert "Fatal" not in told


def nobody_there(model: str) -> None:
    """A program that ends when its broker is gone, or its subscriber takes nothing: it
    ends within the linger time."""
    code = (
        _BEGIN.format(more={"linger_s": 0.5})
        + """
publish(1, 200, 100_000)
print("ready", flush=True)
sys.stdin.read()
"""
    )
    for what in ("broker", "subscriber"):
        with Roles(model) as roles:
            subscriber = roles.subscriber()  # that never receives
            program = subprocess.Popen(
                [sys.executable, "-c", code, str(roles.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            if what == "broker":
                subscriber.disconnect()
                roles.broker.stop()
                in_time(roles.broker.disconnect, "the broker's end")
            begun = time.monotonic()
            program.communicate("", timeout=100)
            assert program.returncode == 0
            print(f"{what}: {time.monotonic() - begun:.2f} s")


CASES: tuple[Callable[..., None], ...] = (
    dropped,
    not_configured,
    keeps_running,
    callback_raised,
    asyncio_dropped,
    program_ends,
    broker_ends,
    nobody_there,
)

if __name__ == "__main__":
    main({case.__name__: case for case in CASES})
