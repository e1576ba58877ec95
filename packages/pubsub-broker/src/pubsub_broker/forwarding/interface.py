"""The interface between the pool and its forwarders, with or without threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol


class ForwarderControl(Protocol):
    """Connects to publishers: a `ForwarderSockets`, or the thread that serves one."""

    @property
    def held_since(self) -> float | None:
        """Since when a message has waited for room (monotonic seconds); None without
        one."""

    def apply(self, changes: list[tuple[bool, str]]) -> None:
        """`ForwarderSockets.apply`. A thread applies it later."""

    def wait_applied(self, until: float) -> None:
        """Wait, if necessary, until a thread has done what `apply` asked for, at most
        until ``until`` (monotonic seconds).

        Raises:
            PubSubError: it does not answer, or has ended with an error.
        """

    def detach_due(self) -> float | None:
        """`ForwarderSockets.detach_due`; None for a thread, which handles this itself."""

    def large_bytes(self) -> tuple[int, int]:
        """The number of bytes forwarded in large messages, at least, and the size of
        the largest."""

    def disconnect_subscribers(self, keys: Iterable[str]) -> None:
        """`ForwarderSockets.disconnect_subscribers`."""


class Forwarder(ForwarderControl, Protocol):
    """A `ForwarderSockets` served in its own thread. All methods belong to one
    controlling thread.

    If the thread ends with an error, that is in ``error``.
    """

    error: BaseException | None
    thread: threading.Thread

    def start(self) -> None:
        """Start the thread."""

    def look(self, now: float) -> None:
        """Check, every `LOOK_EVERY_S` seconds, which loop forwards best."""

    def forwarded(self) -> int:
        """Messages received from publishers since the start."""

    def begin_close(self, until: float) -> None:
        """Have the thread end, at ``until`` (monotonic seconds) at the latest."""

    def close(self, until: float) -> None:
        """End the thread and close everything. Accepted events have until ``until`` to
        reach subscribers."""
