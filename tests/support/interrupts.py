"""Exceptions like those of a signal handler, at chosen places."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


class Interrupted(Exception):
    """The exception of a signal handler."""


def raise_it() -> None:
    raise Interrupted


def interrupted_at(
    line: int,
    call: Callable[[], object],
    *packages: ModuleType,
    handler: Callable[[], object] = raise_it,
) -> bool:
    """Whether ``call`` was interrupted at the ``line``-th line that it executed of
    these packages, in this thread; False: it ran to its end. ``handler`` is called
    there, like a signal handler."""
    folders = tuple(
        str(Path(package.__file__ or "").parent) + os.sep for package in packages
    )
    left = line

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(folders):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                handler()
        return trace

    # The collector runs callbacks of other tests' objects, which cannot be caught.
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(None)
        gc.enable()
    return left <= 0


@contextlib.contextmanager
def dropped_in_finalizers() -> Iterator[None]:
    """Python drops `Interrupted` where it comes in a finalizer. pytest would keep it, with
    all that the variables of its frames hold, and fail the test."""
    report = sys.unraisablehook

    def drop(found: sys.UnraisableHookArgs) -> None:
        if not isinstance(found.exc_value, Interrupted):
            report(found)

    sys.unraisablehook = drop
    try:
        yield
    finally:
        sys.unraisablehook = report
