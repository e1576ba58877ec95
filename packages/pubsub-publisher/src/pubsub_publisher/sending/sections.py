"""Whether this thread has interrupted itself: which code is on its stack.

A signal handler, a finalizer or a logging handler runs in the midst of whatever its thread does.
Only the stack tells what that is.
"""

from __future__ import annotations

import inspect
from types import CodeType
from typing import Final, TypeVar

_C = TypeVar("_C", bound=type)

# The files of the classes that use the data socket.
_FILES: Final[set[str]] = set()


def uses_sections(cls: _C) -> _C:
    """Have `interrupts_sections` know the module of a class that uses the socket."""
    _FILES.add(cls.__init__.__code__.co_filename)  # type: ignore[misc]
    return cls


def interrupts_sections() -> bool:
    """Whether the calling thread came to the present call of such a class from another one,
    that was interrupted."""
    frame = inspect.currentframe()
    if frame is not None:
        frame = frame.f_back
    while frame is not None and frame.f_code.co_filename in _FILES:
        frame = frame.f_back  # the present call
    while frame is not None:
        if frame.f_code.co_filename in _FILES:
            return True
        frame = frame.f_back
    return False


def on_stack(code: CodeType) -> bool:
    """Whether the calling thread executes this code at present."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
