"""Not a test: waiting on conditions, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = 30) -> None:
    """Return when ``condition`` holds; fail, naming ``what``, when it never does."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)
