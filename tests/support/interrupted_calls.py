"""Raises an exception at a certain line of a call, like a signal handler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The exception of a signal handler."""


def raise_interrupted() -> None:
    """A signal handler that raises."""
    raise Interrupted


def call_with(
    handler: Callable[[], object], line: int, call: Callable[[], object], *paths: str
) -> bool:
    """Make a call, and run the handler before the ``line``-th line that runs in this
    thread in files with one of ``paths`` as prefix; returns whether there were so many
    lines. Raises the exception of the call, except `Interrupted`."""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.startswith(paths):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                handler()
        return trace

    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(None)
    return seen >= line
