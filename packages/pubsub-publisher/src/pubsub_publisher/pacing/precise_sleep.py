"""Sleeps until a moment, as exactly as Python can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pubsub_common.defaults import WAIT_SLICE_S

# Sleeping ends some tens of microseconds late; the rest of the time is spun.
_SPIN_NS: Final = 100_000


def monotonic_ahead_ns(now_ns: Callable[[], int]) -> int:
    """By how much the monotonic clock is ahead of another one. That one is read first, so a
    pause between the two makes what is due late, and never early."""
    other_ns = now_ns()
    return time.monotonic_ns() - other_ns


def sleep_until(due_ns: int, ended: Callable[[], bool]) -> bool:
    """Sleep, then spin, until the monotonic clock shows ``due_ns``; False when ``ended``
    meanwhile, which is asked now and then. What it raises, this does."""
    now_ns = time.monotonic_ns
    while (left_ns := due_ns - now_ns()) > _SPIN_NS:
        time.sleep(min((left_ns - _SPIN_NS) / 1e9, WAIT_SLICE_S))
        if ended():
            return False
    while now_ns() < due_ns:
        pass
    return True
