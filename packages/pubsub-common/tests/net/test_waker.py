"""Wakers: from any thread, from signal handlers, interrupted anywhere, and after a fork."""

from __future__ import annotations

import functools
import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest
from support.interrupted_calls import Interrupted, call_with, raise_interrupted
from support.threads import WAIT_MS, ended, in_thread

from pubsub_common.net import waker as module
from pubsub_common.net.waker import Waker


def readable(fd: int, timeout_ms: int = 0) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_ms))


def pipe_at(fd: int) -> str | None:
    """The pipe that a descriptor is of; its number may be of something else soon."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
    except OSError:
        return None


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


def test_a_wake_makes_the_descriptor_readable_until_cleared(waker: Waker) -> None:
    assert not readable(waker.fd)
    waker.wake()
    assert readable(waker.fd)
    waker.clear()
    assert not readable(waker.fd)


def test_many_wakes_do_not_block_and_are_cleared_at_once(waker: Waker) -> None:
    for _ in range(100_000):
        waker.wake()

    waker.clear()

    assert not readable(waker.fd)


def test_clearing_without_a_wake_does_nothing(waker: Waker) -> None:
    waker.clear()

    assert not readable(waker.fd)


def test_another_thread_can_wake(waker: Waker) -> None:
    thread = threading.Thread(target=waker.wake)
    thread.start()

    assert readable(waker.fd, WAIT_MS)
    thread.join()


def test_a_signal_handler_may_wake_while_its_own_thread_is_waking(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    calls: list[int] = []

    def interrupted(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) == 1:
            waker.wake()  # as a handler would, between two instructions
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    waker.wake()

    assert len(calls) == 2


def test_a_wake_after_closing_does_nothing() -> None:
    waker = Waker()
    waker.close()

    waker.wake()
    waker.close()


def test_closing_gives_the_descriptors_back() -> None:
    waker = Waker()
    pipe = pipe_at(waker.fd)
    waker.close()

    assert pipe is not None
    assert pipe_at(waker.fd) != pipe


def test_the_descriptor_stays_open_while_another_thread_is_waking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waker = Waker()
    pipe = pipe_at(waker.fd)
    write = os.write
    open_then: list[bool] = []

    def slow_write(fd: int, data: bytes) -> int:
        assert ended(in_thread(waker.close))  # nobody waits for us
        open_then.append(pipe_at(fd) == pipe)
        return write(fd, data)

    monkeypatch.setattr(os, "write", slow_write)
    waker.wake()

    assert open_then == [True]
    assert pipe_at(waker.fd) != pipe


def test_many_threads_wake_while_one_closes() -> None:
    for _ in range(100):
        waker = Waker()
        pipe = pipe_at(waker.fd)
        together = threading.Barrier(4)

        def wake(waker: Waker = waker, together: threading.Barrier = together) -> None:
            together.wait()
            for _ in range(50):
                waker.wake()

        def close(waker: Waker = waker, together: threading.Barrier = together) -> None:
            together.wait()
            waker.close()

        threads = [in_thread(wake), in_thread(wake), in_thread(close), in_thread(close)]
        assert all(ended(thread) for thread in threads)
        assert pipe_at(waker.fd) != pipe


def test_one_that_is_dropped_gives_the_descriptors_back() -> None:
    waker: Waker | None = Waker()
    assert waker is not None
    fd = waker.fd
    pipe = pipe_at(fd)
    waker = None
    assert pipe_at(fd) != pipe


@pytest.mark.parametrize("line", range(1, 6))
def test_raised_at_any_line_of_a_wake_nothing_stays_taken(line: int) -> None:
    waker = Waker()
    pipe = pipe_at(waker.fd)
    call_with(raise_interrupted, line, waker.wake, module.__file__)
    waker.clear()

    def use(waker: Waker) -> None:
        waker.wake()
        assert readable(waker.fd)
        waker.close()

    assert ended(in_thread(functools.partial(use, waker)))
    # At once, though it is still there: it may be part of a cycle, and the collector may not
    # run for minutes.
    assert pipe_at(waker.fd) != pipe


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_that_wake_and_raise_at_any_time_leave_it_whole() -> None:
    waker = Waker()

    def handle(*_: object) -> None:
        waker.wake()
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handle)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.5)
                while True:
                    waker.wake()
                    waker.clear()
            except Interrupted:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    waker.wake()
    assert readable(waker.fd)
    waker.close()


def test_a_forked_child_leaves_its_parents_waker_alone(waker: Waker) -> None:
    child = os.fork()
    if child == 0:
        waker.wake()
        waker.clear()
        waker.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert not readable(waker.fd)
    waker.wake()
    child = os.fork()
    if child == 0:
        waker.clear()
        os._exit(0)
    os.waitpid(child, 0)
    assert readable(waker.fd)
