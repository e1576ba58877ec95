"""Wakes a thread that polls descriptors: for any thread and for signal handlers.

There are no locks here. A handler may have interrupted the very same call, and an
exception of a handler would leave the lock taken. Python's reference counts show the
last user of the descriptors.
"""

from __future__ import annotations

import contextlib
import functools
import os
import weakref
from typing import Final


class Waker:
    """A file descriptor that any thread (or a signal handler) can make readable. In a
    forked child it does nothing, as the pipe is the parent's."""

    def __init__(self) -> None:
        self._pipe: _Pipe | None = _Pipe(*os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        self.fd = self._pipe.read_fd
        self._forked = False
        key = id(self)
        # A call without Python code: a Ctrl-C in it would be lost. The reference is the
        # default of `pop`.
        _wakers[key] = weakref.ref(self, functools.partial(_wakers.pop, key))

    def wake(self) -> None:
        """Make `fd` readable until `clear`. A wake after `close` does nothing."""
        pipe = self._pipe
        if pipe is not None and not self._forked:
            with contextlib.suppress(BlockingIOError):  # full, so it is readable
                os.write(pipe.write_fd, b"\0")

    def clear(self) -> None:
        """Make `fd` unreadable again. For the thread that polls it."""
        pipe = self._pipe
        if pipe is not None and not self._forked:
            with contextlib.suppress(BlockingIOError):
                while os.read(pipe.read_fd, 4096):
                    pass

    def close(self) -> None:
        """Close the descriptors; no thread may poll `fd` any more. A second call does
        nothing."""
        self._pipe = None


class _Pipe:
    """Two descriptors, which are closed without references to this object. A call that
    uses them holds a reference, since a closed number may be reused immediately; an
    exception inside that call releases it."""

    __slots__ = ("read_fd", "write_fd")

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd

    def __del__(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)


_wakers: Final[dict[int, weakref.ref[Waker]]] = {}


def _after_fork_in_child() -> None:
    for ref in list(_wakers.values()):
        waker = ref()
        if waker is not None:
            waker._forked = True


os.register_at_fork(after_in_child=_after_fork_in_child)
