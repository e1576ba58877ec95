"""Threads that nobody waits for, started from anywhere."""

from __future__ import annotations

import _thread
import contextvars
import threading
from collections.abc import Callable


def start_detached(work: Callable[[], object], name: str) -> bool:
    """Run ``work`` in a daemon thread of this name that nobody waits for. False: there
    can be no more threads.

    For signal handlers and finalizers too: takes none of the locks of `threading`, which
    the thread that was interrupted may hold. An exception inside this call leaves the
    thread running or not there.
    """

    # `threading.Thread.start` waits for the thread, with such locks; here it does so in a
    # thread that no handler interrupts. Without it, the thread would have no name in logs.
    def launch() -> None:
        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except RuntimeError:  # the interpreter ends just now
            work()

    try:
        _thread.start_new_thread(contextvars.copy_context().run, (launch,))
    except RuntimeError:
        return False
    return True
