"""Handles the signals that end a sweep.

The interpreter ignores errors in destructors, in callbacks of weak references, and in its calls
around a fork (starting a role forks). An exception that a signal handler raises there is
lost. So the handler also sets a flag, and the code that waits for roles checks it.
"""

from __future__ import annotations

import signal
from types import FrameType

from pubsub_common.cli import standard_streams
from pubsub_common.cli.signals import ending_signals

_received: int | None = None


def install() -> None:
    """Make SIGINT raise KeyboardInterrupt, and SIGTERM and SIGHUP raise SystemExit, so
    that started processes are ended. Under ``nohup`` SIGHUP stays ignored."""
    for number in ending_signals():
        signal.signal(number, _handle)


def check() -> None:
    """Raises:
    KeyboardInterrupt: SIGINT came, even if its exception was lost.
    SystemExit: SIGTERM or SIGHUP did.
    """
    if _received == signal.SIGINT:
        raise KeyboardInterrupt
    if _received is not None:
        raise SystemExit(128 + _received)


def _handle(number: int, _frame: FrameType | None) -> None:
    global _received
    _received = number
    standard_streams.release_output_soon()
    check()
