"""Stops a program on SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls ``stop``; a second one ends the process.

    They do so in a thread. Python runs signal handlers between two instructions of
    the main thread, and one that comes just before that thread begins to wait for
    something would be handled after the wait.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)

    def watch() -> None:
        stopping = False
        while number := os.read(read_fd, 1):
            if number[0] not in numbers:
                continue
            if stopping:
                os._exit(128 + number[0])
            stopping = True
            stop()

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(previous_fd)
        os.close(write_fd)
        thread.join()
        os.close(read_fd)
