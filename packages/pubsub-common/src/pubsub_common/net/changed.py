"""Threads that wait until another thread, or a signal handler, has changed something.

`threading.Condition` and `threading.Event` are Python code around locks. An exception
from a signal handler inside them can leave a lock taken, and a handler that notifies
can wait for the thread that it interrupted. Here each operation is one call in C.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pubsub_common.defaults import WAIT_SLICE_S
from pubsub_common.net.deadline import deadline_after


class Changed:
    """Threads wait for this, and other threads notify it.

    Each method is for any thread. `notify` never waits, so signal handlers and
    finalizers may call it too. An exception from a signal handler inside a wait ends
    only that wait.
    """

    def __init__(self) -> None:
        self._mark: object = object()
        # A lock for each thread that waits; `set.add` and `set.pop` are atomic.
        self._waiting: set[threading.Lock] = set()

    def mark(self) -> object:
        """The current state, for `wait`: take it before you check for a change."""
        return self._mark

    def notify(self) -> None:
        """Make every waiting thread check again."""
        self._mark = object()
        while self._waiting:
            try:
                lock = self._waiting.pop()
            except KeyError:  # another thread was faster
                return
            lock.release()

    def wait(self, timeout_s: float, mark: object | None = None) -> bool:
        """Wait for a `notify` after ``mark`` was taken (without one: after this call
        began), at most ``timeout_s`` seconds. Returns whether there was one."""
        if mark is None:
            mark = self._mark
        return self.wait_for(lambda: self._mark is not mark, timeout_s)

    def wait_for(
        self, predicate: Callable[[], bool], timeout_s: float | None = None
    ) -> bool:
        """Wait until ``predicate()`` is true, at most ``timeout_s`` seconds (None:
        without limit). Returns its last value. This thread calls it after each `notify`
        and at least every `WAIT_SLICE_S` seconds, as an exception from a signal handler
        may interrupt a notification."""
        deadline = deadline_after(timeout_s)
        while True:
            lock = threading.Lock()
            lock.acquire()
            self._waiting.add(lock)
            try:
                # After registering as waiting, so that no change is missed.
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
