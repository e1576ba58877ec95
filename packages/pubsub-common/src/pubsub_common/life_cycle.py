"""The life of a publisher, a subscriber or a broker, and its end if the user does not end it.

Theory of operation
-------------------

A public object (the user holds it) delegates to a runtime (sockets, threads). Threads and
this module refer to the runtime only, so that an unused object is garbage collected:

- dropped while it is configured: a `ResourceWarning`, and a separate thread closes the
  runtime. The garbage collector runs in any thread, which must not wait for that;
- still there when the interpreter ends: closed by ``atexit``, in that thread;
- in a forked child: nothing. Threads and connections belong to the parent.

Nothing here takes a lock, because a signal handler may call `close` while it interrupts this
code: a `Ticket` decides which caller is first.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Final, Literal

from pubsub_common.errors import PubSubError
from pubsub_common.net.detached import start_awaited
from pubsub_common.net.ticket import Ticket

_log = logging.getLogger(__name__)

State = Literal["made", "configuring", "configured", "closed"]


class LifeCycle:
    """Made, configuring, configured, closed: each once. For any thread and for signal handlers.

    ``what`` is the name of the object in messages ("publisher"). ``on_fork`` is called in a
    forked child. Other threads do not exist there, and their locks may be held, so it may
    only disable paths that do not check the state each time.
    """

    def __init__(self, what: str, on_fork: Callable[[], object] = lambda: None) -> None:
        self.what = what
        self.on_fork = on_fork
        # Whether this process is a forked child of the one that made it.
        self.forked = False
        self._begin_ticket = Ticket()
        self._close_ticket = Ticket()
        self._configured = False
        # The callback is a C function: in a Python function, the exception of a signal handler
        # would be lost.
        _lives.add(weakref.ref(self, _lives.discard))

    @property
    def state(self) -> State:
        if self._close_ticket.taken:
            return "closed"
        if self._configured:
            return "configured"
        return "configuring" if self._begin_ticket.taken else "made"

    def begin(self) -> None:
        """Go from made to configuring.

        Raises:
            PubSubError: It is in another state, or was made in another process.
        """
        if self.forked or self.state == "closed":
            raise self._unusable()
        if not self._begin_ticket.take():
            raise PubSubError(f"this {self.what} has been configured already")

    def configured(self) -> None:
        """Configuring has ended. An object that was closed meanwhile stays closed."""
        self._configured = True

    def check_usable(self) -> None:
        """Raises:
        PubSubError: It is not configured, is closed, or belongs to another process.
        """
        if self.forked or self.state != "configured":
            raise self._unusable()

    def close(self) -> bool:
        """Set the state to closed. True for the first caller, which must clean up; False for
        all others and in a forked child, where there is nothing to do."""
        return not self.forked and self._close_ticket.take()

    def close_when_dropped(self, owner: object, close: Callable[[], object]) -> None:
        """Call ``close`` when ``owner`` is dropped, or the interpreter ends, before `close`
        of this class was called. Call it once, while there is nothing to close yet.
        ``close`` must not refer to ``owner``, and must end."""
        ending = _Ending(self, close)
        _endings[id(ending)] = ending
        weakref.finalize(owner, ending.owner_dropped).atexit = False

    def disconnected(self) -> PubSubError:
        """The error of a call that a disconnect has ended, or has preceded."""
        return PubSubError(f"this {self.what} was disconnected; make a new one")

    def _unusable(self) -> PubSubError:
        if self.forked:
            why = "was made in another process (fork); make one in this process"
        elif self.state == "closed":
            return self.disconnected()
        else:
            why = "is not connected: call configure first"
        return PubSubError(f"this {self.what} {why}")


class _Ending:
    """Closes an object that its user did not close."""

    def __init__(self, life: LifeCycle, close: Callable[[], object]) -> None:
        self._life = life
        self._close = close

    def owner_dropped(self) -> None:
        """Called in any thread, by the garbage collector."""
        if not self._due():
            _endings.pop(id(self), None)
        else:
            # If that fails, or an exception of a signal handler interrupts it, `_close_all`
            # finds it among the endings.
            start_awaited(self._close_dropped, f"pubsub-close-{self._life.what}")
            self._warn()

    def close_now(self) -> None:
        """Called at the end of the interpreter. Does nothing if a thread is closing it."""
        if self._due():
            try:
                self._close()
            finally:
                self._warn()

    def _due(self) -> bool:
        return not self._life.forked and self._life.state not in ("made", "closed")

    def _close_dropped(self) -> None:
        try:
            self._close()
        finally:
            _endings.pop(id(self), None)

    def _warn(self) -> None:
        what = self._life.what
        warnings.warn(
            f"a {what} was not disconnected: call disconnect, or use it in `with`",
            ResourceWarning,
            stacklevel=2,
        )


# The methods of a set with such keys are atomic; those of a WeakSet are not.
_lives: Final[set[weakref.ref[LifeCycle]]] = set()
_endings: Final[dict[int, _Ending]] = {}


def _close_all() -> None:
    """The interpreter ends: close the remaining objects, the newest first, because they may
    need older ones."""
    for ending in reversed(list(_endings.values())):
        try:
            ending.close_now()
        except Exception:
            _log.exception("did not close at the end of the program")


def _after_fork_in_child() -> None:
    lives = [life for life in (ref() for ref in list(_lives)) if life]
    for life in lives:
        life.forked = True
    _endings.clear()
    for life in lives:
        try:
            life.on_fork()
        except Exception:  # the others come first; the lock of the log may be taken
            sys.excepthook(*sys.exc_info())


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
