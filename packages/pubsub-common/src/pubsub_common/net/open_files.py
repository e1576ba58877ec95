"""Whether this process may open the files that a role needs.

With too few of them libzmq ends the process while it begins, by an abort, and Python says
whatever was to be opened just then. So roles ask before they open anything.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from typing import Final

from pubsub_common.errors import PubSubError

_OPEN: Final = "/dev/fd"
_MANY: Final = 256


class TooFewFiles(PubSubError):
    """This process may not open as many files as are needed; the text says how many those
    are."""


def check_open_files(owner: str, needed: int) -> None:
    """Raise the limit of this process so far that it may open ``needed`` files more, for
    ``owner``, as "a publisher".

    Raises:
        TooFewFiles: that is not allowed.
    """
    least = _open_now() + needed
    limit = raise_limit(least)
    if limit < least:
        raise TooFewFiles(
            f"{limit} open files are too few: {owner} needs at least {least} here "
            "(ulimit -n, or LimitNOFILE= of a systemd unit)"
        )


def raise_limit(files: int) -> int:
    """Raise this process's limit of open files to so many, as far as it may be; returns what
    it is, `sys.maxsize` where there is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft_limit_for(files, soft, hard)
    if wanted != soft:
        # Some kernels cap it further down than the hard limit says.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def soft_limit_for(files: int, soft: int, hard: int) -> int:
    """The soft limit to set, so that ``files`` can be open as far as the hard limit
    allows; never less than it is."""
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= files:
        return soft
    return files if hard == unlimited else max(soft, min(files, hard))


def _open_now() -> int:
    """How many are open; at least so many, where that is far from the limit."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with contextlib.suppress(OSError):
        # The lowest number that is free. To count takes long in a program that has thousands.
        lowest = os.dup(0)
        os.close(lowest)
        if soft == resource.RLIM_INFINITY or max(lowest, _MANY) < soft // 2:
            return lowest
    try:
        return len(os.listdir(_OPEN)) - 1  # noqa: PTH208 - one of them is this folder
    except OSError:  # there is not one left
        return soft
