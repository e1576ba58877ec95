"""Detects that a thread has interrupted itself, from the code on its stack.

A signal handler, a finalizer or a logging handler may interrupt any work of its thread. Only
the stack shows which.
"""

from __future__ import annotations

import inspect
from types import CodeType
from typing import Final, TypeVar

_C = TypeVar("_C", bound=type)

# The files of the classes that use the data socket.
_FILES: Final[set[str]] = set()


def uses_sections(cls: _C) -> _C:
    """Register the module of a class that uses the socket for `interrupts_sections`."""
    _FILES.add(cls.__init__.__code__.co_filename)  # type: ignore[misc]
    return cls


def interrupts_sections() -> bool:
    """Whether the present call of a registered class interrupts another call in the same thread."""
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
    """Whether the calling thread is executing this code."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
