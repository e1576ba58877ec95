"""Sleeps until a moment, as exactly as Python can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from pubsub_common.defaults import WAIT_SLICE_S

# A sleep ends some tens of microseconds late, so the last part is a spin.
_SPIN_NS: Final = 100_000


def monotonic_ahead_ns(now_ns: Callable[[], int]) -> int:
    """The monotonic clock minus another clock. That one is read first, so a pause between the
    two makes events late, never early."""
    other_ns = now_ns()
    return time.monotonic_ns() - other_ns


def sleep_until(due_ns: int, ended: Callable[[], bool]) -> bool:
    """Sleep, then spin, until the monotonic clock shows ``due_ns``. False if ``ended``
    returns True meanwhile; it is called at intervals, and its errors are raised."""
    now_ns = time.monotonic_ns
    while (left_ns := due_ns - now_ns()) > _SPIN_NS:
        time.sleep(min((left_ns - _SPIN_NS) / 1e9, WAIT_SLICE_S))
        if ended():
            return False
    while now_ns() < due_ns:
        pass
    return True
