"""Checks whether this process may open the files that a role needs.

With too few of them libzmq aborts the process at its start, and Python's error names
any file. So roles check before they open anything.
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
    """This process may not open as many files as needed; the text has the number."""


def check_open_files(owner: str, needed: int) -> None:
    """Raise the limit of this process so that it may open ``needed`` more files, for
    ``owner``, for example "a publisher".

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
    """Raise this process's limit of open files to this number, as far as allowed;
    returns the limit, `sys.maxsize` without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft_limit_for(files, soft, hard)
    if wanted != soft:
        # Some kernels limit it below the hard limit.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def soft_limit_for(files: int, soft: int, hard: int) -> int:
    """The soft limit to set, so that ``files`` can be open as far as the hard limit
    allows; never less than the current one."""
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= files:
        return soft
    return files if hard == unlimited else max(soft, min(files, hard))


def _open_now() -> int:
    """The number of open files; a lower estimate if it is far from the limit."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with contextlib.suppress(OSError):
        # The lowest free number. Counting takes long in a program with thousands of
        # files.
        lowest = os.dup(0)
        os.close(lowest)
        if soft == resource.RLIM_INFINITY or max(lowest, _MANY) < soft // 2:
            return lowest
    try:
        return len(os.listdir(_OPEN)) - 1  # noqa: PTH208 - one of them is this folder
    except OSError:  # none is left
        return soft
