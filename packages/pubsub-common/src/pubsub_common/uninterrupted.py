"""Work that an exception of a signal handler does not cut into pieces.

Python runs signal handlers in the main thread, between any two of its steps. Where that
thread only waits, and another one works, an exception of a handler (Ctrl-C, a timeout)
ends the wait and leaves the work whole.
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
from pubsub_common.net.detached import start_detached
from pubsub_common.net.ticket import Ticket

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_NAME: Final = "pubsub-work"


def run_uninterrupted(
    work: Callable[[], _T], hurry: Callable[[], object] | None = None
) -> _T:
    """Run ``work`` to its end, whatever signal handlers raise meanwhile; its result. Raises
    what it raises.

    In the main thread it runs in another one. When the wait for it is interrupted, either
    the work has not begun and never will, or it goes on by itself and has to leave a clean
    state alone. ``hurry`` is then called, which should have it end soon; it should do
    nothing where the work has ended just now, and may be called again, at the end of the
    program, which waits for the work. In any other thread, and where no thread can be
    started (at the end of the interpreter), this is a plain call.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    task = _Task(work, hurry)
    try:
        started = start_detached(task.run, _NAME)
        if started:
            task.changed.wait_for(task.ended)
    except BaseException:
        task.abandon()
        raise
    if not started:
        return work()
    return task.result()


class _Task(Generic[_T]):
    """Work in another thread, and how it ended."""

    def __init__(
        self, work: Callable[[], _T], hurry: Callable[[], object] | None
    ) -> None:
        self.changed = Changed()
        self._work = work
        self._hurry = hurry
        # Whoever takes it decides whether the work is done.
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
        """Nobody waits any more: the work is not done at all, or ends soon."""
        self._abandoned = True
        if not self._ticket.take():
            self.hurry()

    def hurry(self) -> None:
        if self._hurry is not None and not self.ended():
            self._hurry()

    def result(self) -> _T:
        """To be asked for once."""
        if self._results:
            return self._results[0]
        # It must not be kept here: it will refer to the frames that it is raised in, and
        # these to this.
        error = self._errors.pop()
        try:
            raise error
        finally:
            del error


# Work that is being done now, by id; the methods of a dict with such keys are atomic.
_running: Final[dict[int, _Task[Any]]] = {}


def _end_all() -> None:
    """The program ends; the threads would be cut off. Only work that nobody waits for is
    left now, such as a `disconnect` that a signal handler interrupted."""
    for task in list(_running.values()):
        task.hurry()
        task.changed.wait_for(lambda task=task: id(task) not in _running)  # type: ignore[misc]


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)
