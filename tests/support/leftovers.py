"""Descriptors and threads that a test leaves open.

Other tests ran in this process. Their leftovers may end at any moment, by a thread or
by the garbage collector, so numbers before and after mean nothing.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

from pubsub_common.testing import wait_for

# A descriptor's number, and its target.
_File = tuple[str, str]


class Leftovers:
    """The additional ones since this was made."""

    def __init__(self) -> None:
        gc.collect()
        self._files = _open_files()
        self._threads = set(threading.enumerate())

    def files(self) -> list[_File]:
        """The new descriptors."""
        return sorted(_open_files() - self._files)

    def threads(self) -> list[str]:
        """The names of the new threads."""
        return sorted(each.name for each in set(threading.enumerate()) - self._threads)

    def expect_none(self) -> None:
        """Return when nothing is left.

        Raises:
            AssertionError: something stays; the text names it.
        """
        try:
            wait_for(lambda: not self.threads() and not self.files())
        except AssertionError:
            found = f"threads {self.threads()}, descriptors {self.files()}"
            raise AssertionError(f"left: {found}") from None


def _open_files() -> set[_File]:
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.add((path.name, str(path.readlink())))
        except OSError:  # closed since, like the one for reading the folder
            continue
    return found
