"""Threads that wait until another thread, or a signal handler, has changed something.

`threading.Condition` and `threading.Event` are Python code around locks: an exception that
a signal handler raises inside them can leave a lock taken, and a handler that notifies can
wait for the thread that it interrupted. Here each operation is one call in C.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pubsub_common.defaults import WAIT_SLICE_S


class Changed:
    """What threads wait for, and what others tell them.

    Each method is for any thread. `notify` never waits, so it is for signal handlers and
    finalizers as well. An exception that a signal handler raises inside a wait ends that
    wait and nothing else.
    """

    def __init__(self) -> None:
        self._mark: object = object()
        # A lock for each thread that waits; `set.add` and `set.pop` are atomic.
        self._waiting: set[threading.Lock] = set()

    def mark(self) -> object:
        """The present state, for `wait`: take it before you look at what may change."""
        return self._mark

    def notify(self) -> None:
        """Have every thread that waits look again."""
        self._mark = object()
        while self._waiting:
            try:
                lock = self._waiting.pop()
            except KeyError:  # another thread was faster
                return
            lock.release()

    def wait(self, timeout_s: float, mark: object | None = None) -> bool:
        """Wait for a `notify` after ``mark`` was taken (without one: after this call
        began), at most ``timeout_s`` seconds. Whether there was one."""
        if mark is None:
            mark = self._mark
        return self.wait_for(lambda: self._mark is not mark, timeout_s)

    def wait_for(
        self, predicate: Callable[[], bool], timeout_s: float | None = None
    ) -> bool:
        """Wait until ``predicate()`` is true, at most ``timeout_s`` seconds (None: without
        limit). What it says at the end. It is asked in this thread, after each `notify`
        and at least every `WAIT_SLICE_S` seconds: a notification may be cut short by an
        exception of a signal handler."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            lock = threading.Lock()
            lock.acquire()
            self._waiting.add(lock)
            try:
                # After it is waiting, so that no change is missed.
                if predicate():
                    return True
                left_s = WAIT_SLICE_S
                if deadline is not None:
                    left_s = min(left_s, deadline - time.monotonic())
                if left_s <= 0:
                    return False
                lock.acquire(timeout=left_s)
            finally:
                self._waiting.discard(lock)
