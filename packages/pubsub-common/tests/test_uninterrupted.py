"""Work continues when its caller is interrupted, and never begins half."""

from __future__ import annotations

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
from support.interrupted_calls import Interrupted, call_with, raise_interrupted
from support.threads import ended, in_thread

from pubsub_common import uninterrupted
from pubsub_common.errors import NotReady
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_common.uninterrupted import run_uninterrupted


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Raises `Interrupted` in the main thread."""

    def handle(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    main = threading.main_thread().ident or 0
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_the_result_and_the_error_come_back() -> None:
    assert run_uninterrupted(lambda: 5) == 5

    def fails() -> None:
        raise NotReady("no")

    with pytest.raises(NotReady, match="no"):
        run_uninterrupted(fails)


def test_an_error_leaves_no_cycle_behind() -> None:
    class Role:
        def configure(self) -> None:
            run_uninterrupted(self.fail)

        def fail(self) -> None:
            raise NotReady("no")

    role: Role | None = Role()
    assert role is not None
    gone = weakref.ref(role)
    gc.disable()
    try:
        with contextlib.suppress(NotReady):
            role.configure()
        role = None
        wait_for(lambda: gone() is None)
    finally:
        gc.enable()


def test_the_main_thread_lets_another_one_work() -> None:
    main = threading.current_thread()
    assert run_uninterrupted(threading.current_thread) is not main


def test_silent_work_too_and_its_thread_leaves_no_trace() -> None:
    before = set(threading.enumerate())
    assert run_uninterrupted(threading.get_ident, silent=True) != threading.get_ident()
    assert set(threading.enumerate()) == before


def test_another_thread_works_itself() -> None:
    found: list[bool] = []

    def both() -> None:
        here = threading.current_thread()
        found.append(run_uninterrupted(threading.current_thread) is here)

    assert ended(in_thread(both))
    assert found == [True]


def test_without_a_thread_it_is_a_plain_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uninterrupted, "start_detached", lambda *_: False)
    here = threading.current_thread()
    assert run_uninterrupted(threading.current_thread) is here


def test_an_interrupted_caller_hurries_the_work_which_goes_on(
    interrupt: Callable[[], None],
) -> None:
    hurried = threading.Event()
    done = threading.Event()

    def work() -> None:
        interrupt()
        hurried.wait(WAIT_S)
        done.set()

    with pytest.raises(Interrupted):
        run_uninterrupted(work, hurried.set)
    assert done.wait(WAIT_S)
    assert hurried.is_set()


def test_an_error_that_nobody_waits_for_is_logged(
    interrupt: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    hurried = threading.Event()

    def work() -> None:
        interrupt()
        hurried.wait(WAIT_S)
        raise ValueError("a fault")

    with pytest.raises(Interrupted):
        run_uninterrupted(work, hurried.set)
    wait_for(lambda: "a fault" in caplog.text)


def test_raised_at_any_line_the_work_is_done_whole_or_not_at_all() -> None:
    done: list[str] = []

    def work() -> None:
        done.append("begun")
        done.append("ended")

    line = 1
    while call_with(
        raise_interrupted, line, lambda: run_uninterrupted(work), uninterrupted.__file__
    ):
        line += 1
        wait_for(lambda: not uninterrupted._running)
        assert done in ([], ["begun", "ended"])
        assert run_uninterrupted(lambda: 1) == 1
        done.clear()
    assert line > 10


PROGRAM = """
import signal, threading, time
from pubsub_common.uninterrupted import run_uninterrupted

def handle(*_):
    raise TimeoutError

signal.signal(signal.SIGUSR1, handle)
hurried = threading.Event()

def work():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    hurried.wait()
    time.sleep(0.2)
    print("done", flush=True)

calls = []

def hurry():
    calls.append(1)
    if len(calls) == 1:
        raise TimeoutError  # a second signal, just then
    hurried.set()

try:
    run_uninterrupted(work, hurry)
except TimeoutError:
    print("interrupted", flush=True)
"""


def test_the_end_of_the_program_hurries_and_waits_for_what_was_interrupted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=WAIT_S
    )
    assert (done.stdout, done.stderr) == ("interrupted\ndone\n", "")
