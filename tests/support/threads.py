"""Threads that a failing test does not have to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from pubsub_common.testing import WAIT_S

WAIT_MS: Final = round(WAIT_S * 1000)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run ``work`` in a thread that a failing test does not have to wait for."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    """Whether the thread ends in time."""
    thread.join(WAIT_S)
    return not thread.is_alive()
