"""What the pool asks of a forwarder, and of the sockets of one without a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol


class ForwarderControl(Protocol):
    """What connects to publishers: an `ForwarderSockets`, or the thread that has one."""

    @property
    def held_since(self) -> float | None:
        """Since when a message has waited for room (monotonic seconds); None without
        one."""

    def apply(self, changes: list[tuple[bool, str]]) -> None:
        """`ForwarderSockets.apply`. A thread is only told."""

    def wait_applied(self, until: float) -> None:
        """Wait, where the one who controls a thread must, until it has done what `apply`
        told it, at most until ``until`` (monotonic seconds).

        Raises:
            PubSubError: it does not answer, or has ended for an error.
        """

    def detach_due(self) -> float | None:
        """`ForwarderSockets.detach_due`; None for a thread that looks after it."""

    def large_bytes(self) -> tuple[int, int]:
        """How many bytes were forwarded in large messages, at least, and how large these are."""

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """`ForwarderSockets.disconnect_subscribers`."""


class Forwarder(ForwarderControl, Protocol):
    """An `ForwarderSockets` served in a thread of its own. All methods belong to one
    controlling thread.

    Should the thread end for an error, that is in ``error``.
    """

    error: BaseException | None
    thread: threading.Thread

    def start(self) -> None:
        """Start the thread."""

    def forwarded(self) -> int:
        """Messages received from publishers since the start."""

    def begin_close(self, until: float) -> None:
        """Have the thread end, at ``until`` (monotonic seconds) at the latest."""

    def close(self, until: float) -> None:
        """End the thread and close everything; what was accepted has until ``until``
        to reach subscribers."""
