"""A wall clock that can be stepped. Workers import this before the project's code.

Tests may not set the machine's clock, and libfaketime may be missing, so each process
has its own clock: Python's functions for the wall clock get an offset. SIGUSR1
subtracts an hour. Monotonic clocks stay, as when the real clock is set.
"""

from __future__ import annotations

import signal
import time

STEP_NS = 3_600_000_000_000


def _install() -> None:
    """Replace the wall clock of this process."""
    real_ns = time.time_ns
    offset_ns = 0

    def stepped_ns() -> int:
        return real_ns() + offset_ns

    def step(_number: int, _frame: object) -> None:
        nonlocal offset_ns
        offset_ns -= STEP_NS

    time.time_ns = stepped_ns
    time.time = lambda: stepped_ns() / 1e9
    signal.signal(signal.SIGUSR1, step)


_install()
