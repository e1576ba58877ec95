"""Parts of the programs in ``tests/system/life/programs``: roles, a receiver that keeps
its events, interrupts, and checks for the end."""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from pubsub_broker import Broker
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

# Longer than anything takes; a program that waits for it has failed.
WAIT_S: Final = 60.0
# So that a receiver that shares the processor with a busy publisher loses nothing.
ROOMY: Final = 1_000_000
# Queues of any size: full queues are not the subject here.
_ROOM: Final = {"queue_limit": ROOMY, "queue_bytes": 2**32, "queue_total": 2**34}
# Descriptors that are made once, on first use; a leak per call would be far more.
SLACK: Final = 2


def main(cases: dict[str, Callable[..., None]]) -> None:
    """Run the case that the command line names; dump all threads and fail at the
    deadline."""
    faulthandler.dump_traceback_later(
        float(os.environ.get("LIFE_DEADLINE_S", "60")), exit=True
    )
    cases[sys.argv[1]](**json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    sys.stdout.flush()


class Roles:
    """A broker in a thread, and clients of it; all end with the block."""

    def __init__(self, model: str = "decentralized", **options: Any) -> None:
        self.centralized = model == "centralized"
        self._stack = ExitStack()
        self.broker = Broker(
            self.centralized,
            **{"indefinite": True, "port": 0, **_ROOM, "linger_s": 1.0} | options,
        )
        self._thread = threading.Thread(target=self.broker.event_loop, daemon=True)

    def __enter__(self) -> Self:
        self.broker.configure()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:  # errors at the end might hide the first one
            traceback.print_exception(error)
            sys.stderr.flush()
            os._exit(1)
        self.close()
        self.broker.stop()
        in_time(self.broker.disconnect)

    def close(self) -> None:
        """End the clients."""
        self._stack.close()

    def forget(self) -> None:
        """Do not end the clients with the block."""
        self._stack.pop_all()

    @property
    def port(self) -> int:
        return self.broker.port

    def new_publisher(self, *topics: str, **options: Any) -> Publisher:
        """A publisher that is not configured."""
        return Publisher(
            topics=topics or ("a",),
            broker_port=self.port,
            **{"bind_port": 0, **_ROOM} | options,
        )

    def new_subscriber(self, *topics: str, **options: Any) -> Subscriber:
        """A subscriber that is not configured."""
        return Subscriber(
            topics=topics or ("a",),
            broker_port=self.port,
            centralized=self.centralized,
            **{"indefinite": True, **_ROOM} | options,
        )

    def publisher(self, *topics: str, **options: Any) -> Publisher:
        publisher = self.new_publisher(*topics, **options)
        publisher.configure()
        self._stack.callback(lambda: in_time(publisher.disconnect))
        return publisher

    def subscriber(self, *topics: str, **options: Any) -> Subscriber:
        subscriber = self.new_subscriber(*topics, **options)
        subscriber.configure()
        self._stack.callback(lambda: in_time(subscriber.disconnect))
        return subscriber


class Receiving:
    """Receives in a thread, and keeps the payloads."""

    def __init__(self, subscriber: Subscriber, pause_s: float = 0.0) -> None:
        self.subscriber = subscriber
        self.payloads: list[bytes] = []
        self._pause_s = pause_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for event in self.subscriber:
            self.payloads.append(event.payload)
            if self._pause_s:
                time.sleep(self._pause_s)

    def ends_with(self, payload: bytes) -> None:
        """Return when this payload has arrived."""
        seen = 0

        def come() -> bool:
            nonlocal seen
            begin, seen = seen, len(self.payloads)
            return payload in self.payloads[begin:seen]

        wait_for(come, f"{payload[:20]!r} in {len(self.payloads)} events", WAIT_S)

    def stop(self) -> None:
        self.subscriber.stop()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the receiving thread did not end"


class Interrupted(Exception):
    """Raised by the signal handler."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


class Interrupts:
    """Runs work in the main thread, and raises `Interrupted` in it at random times."""

    def __init__(
        self, seed: int, shortest_s: float = 2e-5, longest_s: float = 0.004
    ) -> None:
        self.count = 0
        self._random = random.Random(seed)
        self._range = shortest_s, longest_s
        signal.signal(signal.SIGALRM, _interrupt)

    def once(self, work: Callable[[], object]) -> bool:
        """Run ``work`` until it ends or is interrupted; returns whether it was
        interrupted."""
        try:
            try:
                # Repeatedly, as the exception is lost in a finalizer.
                after_s = self._random.uniform(*self._range)
                signal.setitimer(signal.ITIMER_REAL, after_s, 0.5)
                work()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            self.count += 1
            return True
        return False

    def until(self, count: int, work: Callable[[], object]) -> None:
        """Run ``work`` repeatedly, until it was interrupted ``count`` more times."""
        aim = self.count + count
        while self.count < aim:
            self.once(work)


def in_time(work: Callable[[], object], what: str = "") -> None:
    """Run ``work`` in another thread; it must return in time.

    Raises:
        AssertionError: it did not, or raised.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(WAIT_S)
    if thread.is_alive():
        faulthandler.dump_traceback(sys.stdout, all_threads=True)
        raise AssertionError(f"{what or work} hangs")
    if errors:
        raise AssertionError(f"{what or work}: {errors[0]!r}") from errors[0]


def numbers(payloads: Iterable[bytes]) -> list[int]:
    """The numbers at the beginning of the payloads."""
    return [int(payload.partition(b" ")[0]) for payload in payloads]


def check_delivered(
    accepted: list[int], got: list[int], *, attempted: int, excused: int = 0
) -> None:
    """All accepted events arrived, once, in order, and no others except tried ones.

    ``excused``: how many may be missing.
    """
    backwards = [pair for pair in itertools.pairwise(got) if pair[0] >= pair[1]]
    assert not backwards, f"twice or out of order: {backwards[:5]}"
    missing = sorted(set(accepted) - set(got))
    assert len(missing) <= excused, (
        f"{len(missing)} of {len(accepted)} accepted are missing: {missing[:10]}"
    )
    unknown = [number for number in got if not 0 < number <= attempted]
    assert not unknown, f"never published: {unknown[:5]}"


def check_counts(subscriber: Subscriber, received: int | None = None) -> None:
    """The subscriber knows of no loss."""
    counts = subscriber.counts()
    assert counts.lost == 0, counts
    if received is not None:
        assert counts.received == received, (counts, received)


def open_descriptors() -> int:
    """The number of file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def settled(read: Callable[[], int], most: int, what: str) -> None:
    """Return when ``read()`` gives at most ``most``."""
    deadline = time.monotonic() + WAIT_S
    while (found := read()) > most:
        assert time.monotonic() < deadline, f"{what}: {found}, not {most} at most"
        time.sleep(0.005)
