"""Runs work that an exception of a signal handler does not interrupt.

Python runs signal handlers in the main thread, between any two of its steps. If that thread
only waits, and another one works, an exception of a handler (Ctrl-C, a timeout) ends the wait
and does not interrupt the work.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from pubsub_common.errors import PubSubError
from pubsub_common.net.changed import Changed
from pubsub_common.net.detached import start_detached, start_unnamed
from pubsub_common.net.ticket import Ticket

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_NAME: Final = "pubsub-work"


def run_uninterrupted(
    work: Callable[[], _T],
    hurry: Callable[[], object] | None = None,
    *,
    silent: bool = False,
) -> _T:
    """Run ``work`` to its end, even if signal handlers raise exceptions meanwhile. Returns its
    result, and raises its errors.

    In the main thread the work runs in another thread. When the wait for it is interrupted,
    either the work has not begun and never will, or it continues and must clean up after
    itself. ``hurry`` is then called to make it end soon; it must do nothing if the work has
    just ended, and may be called again, at the end of the program, which waits for the work.
    ``silent`` work does not log and starts no threads; then its own thread costs a third.
    In any other thread, and if no thread can be started (at the end of the interpreter), this
    is a plain call.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    task = _Task(work, hurry)
    try:
        started = start_unnamed(task.run) if silent else start_detached(task.run, _NAME)
        if started:
            task.changed.wait_for(task.ended)
    except BaseException:
        task.abandon()
        raise
    if not started:
        return work()
    return task.result()


class _Task(Generic[_T]):
    """Work in another thread, and its result."""

    def __init__(
        self, work: Callable[[], _T], hurry: Callable[[], object] | None
    ) -> None:
        self.changed = Changed()
        self._work = work
        self._hurry = hurry
        # The taker decides whether the work is done.
        self._ticket = Ticket()
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self._abandoned = False

    def run(self) -> None:
        _running[id(self)] = self  # first, for `_end_all`
        try:
            if self._ticket.take():
                self._results.append(self._work())
        except BaseException as error:
            if self._abandoned and not isinstance(error, PubSubError):
                _log.exception("failed after its caller was interrupted")
            self._errors.append(error)
        finally:
            _running.pop(id(self), None)
            self.changed.notify()

    def ended(self) -> bool:
        return bool(self._results or self._errors)

    def abandon(self) -> None:
        """The caller no longer waits: the work is not done at all, or ends soon."""
        self._abandoned = True
        if not self._ticket.take():
            self.hurry()

    def hurry(self) -> None:
        if self._hurry is not None and not self.ended():
            self._hurry()

    def result(self) -> _T:
        """May be called once."""
        if self._results:
            return self._results[0]
        # Not stored here: it refers to the frames that raise it, and these to this task.
        error = self._errors.pop()
        try:
            raise error
        finally:
            del error


# Running work, by id; the methods of a dict with such keys are atomic.
_running: Final[dict[int, _Task[Any]]] = {}


def _end_all() -> None:
    """The program ends and would stop the threads. Only work without a waiting caller is left
    now, for example a `disconnect` that a signal handler interrupted."""
    for task in list(_running.values()):
        task.hurry()
        task.changed.wait_for(lambda task=task: id(task) not in _running)  # type: ignore[misc]


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)
