"""Decides which of several callers does a task that must run once."""

from __future__ import annotations


class Ticket:
    """One caller gets it, among all threads, signal handlers and finalizers, without
    waiting. There is no lock: `list.pop` is one step, also for an exception from a
    signal handler."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = [True]

    @property
    def taken(self) -> bool:
        """Whether a caller has it."""
        return not self._left

    def take(self) -> bool:
        """Whether this is the first call."""
        try:
            return self._left.pop()
        except IndexError:
            return False
