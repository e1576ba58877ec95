"""Stops a program on SIGINT, SIGTERM or SIGHUP."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from pubsub_common.cli import standard_streams
from pubsub_common.defaults import OUTPUT_LINGER_S


def ending_signals() -> tuple[int, ...]:
    """The signals that end a program. A closed terminal sends SIGHUP. It does not end a program
    that already ignores it, as under ``nohup``."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP calls ``stop``; a second SIGINT or SIGTERM ends
    the process. A second SIGHUP does not: a closed terminal may send it twice.

    A thread handles the signals. Python runs signal handlers between two instructions of the
    main thread, so a signal just before a wait would be handled after the wait. ``stop`` runs
    in another thread, so that a second signal is noticed while ``stop`` waits.

    A stopped reader of standard output does not block the end: after `OUTPUT_LINGER_S` its
    data is discarded.
    """
    numbers = ending_signals()
    over = threading.Event()

    def end() -> None:
        stop()
        while not over.wait(OUTPUT_LINGER_S):
            standard_streams.release_output()

    stopping = threading.Thread(target=end, name="stop", daemon=True)
    was_started = False
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)

    def watch() -> None:
        nonlocal was_started
        while number := os.read(read_fd, 1):
            if number[0] not in numbers:
                continue
            if not was_started:
                was_started = True
                stopping.start()
            elif number[0] != signal.SIGHUP:
                os._exit(128 + number[0])

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    handled = (*numbers, standard_streams.WAKE_SIGNAL)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    try:
        yield
    finally:
        over.set()
        for number, previous in before.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(previous_fd)
        os.close(write_fd)
        thread.join()
        os.close(read_fd)
        if was_started:
            stopping.join()
