"""What a test leaves open: descriptors and threads that were not there before.

Other tests ran in this process. What they left may end at any moment, by a thread that closes
it or by the garbage collector, so numbers before and after tell nothing.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

from pubsub_common.testing import wait_for

# A descriptor's number, and what it is of.
_File = tuple[str, str]


class Leftovers:
    """What there is more than when this was made."""

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
            AssertionError: something stays; it names it.
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
        except OSError:  # closed since, as the one by which the folder was read
            continue
    return found
