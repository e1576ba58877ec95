"""Starts threads from anywhere, without waiting for them."""

from __future__ import annotations

import _thread
import atexit
import contextvars
import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from pubsub_common.net.changed import Changed
from pubsub_common.net.ticket import Ticket

_log = logging.getLogger(__name__)


def start_detached(work: Callable[[], object], name: str) -> bool:
    """Run ``work`` in a daemon thread of this name, without waiting. Returns False if
    no more threads can be started.

    Signal handlers and finalizers may call it too: it takes none of the locks of
    `threading`, which the interrupted thread may hold. An exception inside this call
    leaves the thread either running or not started.
    """

    # `threading.Thread.start` waits for the thread, with these locks; here it runs in a
    # thread that no handler interrupts. Without it, the thread would have no name in
    # logs.
    def launch() -> None:
        try:
            threading.Thread(target=work, name=name, daemon=True).start()
        except RuntimeError:  # the interpreter is ending
            work()

    return start_unnamed(launch)


def start_unnamed(work: Callable[[], object]) -> bool:
    """Like `start_detached`, in a third of the time, for work that does not need to know its
    thread: `threading` does not know it. Once it does, by a line in the log for example, it
    stays in `threading.enumerate` after its end."""
    try:
        _thread.start_new_thread(contextvars.copy_context().run, (work,))
    except RuntimeError:
        return False
    return True


def start_awaited(work: Callable[[], object], name: str) -> bool:
    """Like `start_detached`, but the end of the program waits for ``work``, which must
    end, or runs it if its thread has not begun. An exception of ``work`` is logged."""
    task = _Awaited(work, name)
    _awaited[id(task)] = task
    if start_detached(task.run, name):
        return True
    _awaited.pop(id(task), None)
    return False


class _Awaited:
    """Work that runs once, in its thread or at the end of the program."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work = work
        self._name = name
        self._ticket = Ticket()  # the caller that takes it does the work
        self._ended = Changed()

    def run(self) -> None:
        if not self._ticket.take():
            return
        try:
            self._work()
        except Exception:
            _log.exception("%s failed", self._name)
        finally:
            _awaited.pop(id(self), None)
            self._ended.notify()

    def wait(self) -> None:
        self._ended.wait_for(lambda: id(self) not in _awaited)


# By id; the methods of a dict with such keys are atomic.
_awaited: Final[dict[int, _Awaited]] = {}


def _end_all() -> None:
    for task in list(_awaited.values()):
        task.run()
        task.wait()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_awaited.clear)
