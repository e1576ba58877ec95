"""Threads that wait for a change: told by threads and by signal handlers."""

from __future__ import annotations

import signal
import threading

import pytest
from support.threads import ended, in_thread

from pubsub_common.net.changed import Changed
from pubsub_common.testing import WAIT_S, wait_for


class Interrupted(Exception):
    pass


def signal_the_main_thread() -> None:
    """One to the process would be for it too, where it waits (signal(7))."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def signal_who_waits(changed: Changed) -> None:
    wait_for(lambda: bool(changed._waiting))
    signal_the_main_thread()


def test_a_true_predicate_needs_no_wait() -> None:
    assert Changed().wait_for(lambda: True, 0)


def test_the_time_is_up() -> None:
    assert not Changed().wait_for(lambda: False, 0)
    assert not Changed().wait(0.001)


def test_a_change_after_the_mark_is_not_missed() -> None:
    changed = Changed()
    mark = changed.mark()
    changed.notify()
    assert changed.wait(0, mark)
    assert not changed.wait(0, changed.mark())


def test_all_that_wait_are_told() -> None:
    changed = Changed()
    value: list[int] = []
    threads = [
        in_thread(lambda: changed.wait_for(lambda: bool(value))) for _ in range(8)
    ]
    wait_for(lambda: len(changed._waiting) == 8)
    value.append(1)
    changed.notify()
    assert all(ended(thread) for thread in threads)
    assert not changed._waiting


def test_a_notification_that_was_cut_short_is_made_up_for() -> None:
    changed = Changed()
    value: list[int] = []
    thread = in_thread(lambda: changed.wait_for(lambda: bool(value), WAIT_S))
    wait_for(lambda: len(changed._waiting) == 1)
    value.append(1)  # and no notification
    assert ended(thread)


def test_many_threads_count_together() -> None:
    changed = Changed()
    counts: list[int] = []  # appending is atomic
    done: list[bool] = []

    def count(number: int) -> None:
        for turn in range(50):
            counts.append(number)
            changed.notify()
            if not changed.wait_for(lambda t=turn: len(counts) > t * 4, WAIT_S):  # type: ignore[misc]
                return
        done.append(True)

    threads = [in_thread(lambda n=n: count(n)) for n in range(4)]  # type: ignore[misc]
    assert all(ended(thread) for thread in threads)
    assert len(done) == 4


def test_a_signal_handler_tells_the_thread_that_it_interrupted() -> None:
    changed = Changed()
    value: list[int] = []

    def handle(*_: object) -> None:
        value.append(1)
        changed.notify()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        in_thread(lambda: signal_who_waits(changed))
        assert changed.wait_for(lambda: bool(value), WAIT_S)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_exception_of_a_signal_handler_ends_one_wait_only() -> None:
    changed = Changed()

    def handle(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        for _ in range(100):
            in_thread(lambda: signal_who_waits(changed))
            with pytest.raises(Interrupted):
                changed.wait_for(lambda: False, WAIT_S)
    finally:
        signal.signal(signal.SIGUSR1, before)
    changed.notify()
    assert not changed._waiting
