"""Decides which of several callers does something that is to be done once."""

from __future__ import annotations


class Ticket:
    """One caller gets it, of all threads, signal handlers and finalizers; nobody waits. No
    lock: `list.pop` is one step, also for an exception that a signal handler raises."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = [True]

    @property
    def taken(self) -> bool:
        """Whether somebody has got it."""
        return not self._left

    def take(self) -> bool:
        """Whether this is the first call."""
        try:
            return self._left.pop()
        except IndexError:
            return False
