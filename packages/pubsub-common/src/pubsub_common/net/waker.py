"""Wakes a thread that polls descriptors: for any thread and for signal handlers.

Nothing here takes a lock. A handler may have interrupted the very same call, and an
exception of a handler would leave the lock taken. `list.append` and `list.pop` are atomic,
and calls of both on one list are in one order for all threads.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Final


class Waker:
    """A file descriptor that any thread (or a signal handler) can make readable. In a
    forked child it does nothing, for the pipe is the parent's."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False
        # One item for whoever may call `close`, and one for each `wake` that is writing:
        # the last one closes the descriptors, whose numbers may soon be another file's.
        # An exception in `wake` leaves an item behind; then `__del__` closes them.
        self._users = [True]
        self._owner = [True]
        self._descriptors = [(self.fd, self._write_fd)]
        key = id(self)
        _wakers[key] = weakref.ref(self, lambda _: _wakers.pop(key, None))

    def wake(self) -> None:
        """Make `fd` readable until `clear`. A wake after `close` does nothing."""
        self._users.append(True)
        if not self._closed:
            with contextlib.suppress(BlockingIOError):  # full, hence readable
                os.write(self._write_fd, b"\0")
        self._leave()

    def clear(self) -> None:
        """Make `fd` unreadable again. For the thread that polls it."""
        with contextlib.suppress(BlockingIOError):
            while not self._closed and os.read(self.fd, 4096):
                pass

    def close(self) -> None:
        """Give the descriptors back; nobody may poll `fd` any more. Again: does
        nothing."""
        self._closed = True
        with contextlib.suppress(IndexError):
            self._owner.pop()
            self._leave()

    def __del__(self) -> None:
        if hasattr(self, "_descriptors"):  # there was a descriptor to be had
            self._close_descriptors()

    def _leave(self) -> None:
        self._users.pop()
        if not self._users:
            self._close_descriptors()

    def _close_descriptors(self) -> None:
        try:
            descriptors = self._descriptors.pop()
        except IndexError:  # another thread was faster
            return
        for fd in descriptors:
            os.close(fd)


_wakers: Final[dict[int, weakref.ref[Waker]]] = {}


def _after_fork_in_child() -> None:
    for ref in list(_wakers.values()):
        waker = ref()
        if waker is not None:
            waker._closed = True


os.register_at_fork(after_in_child=_after_fork_in_child)
