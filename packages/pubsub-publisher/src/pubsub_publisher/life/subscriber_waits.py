"""Waits until subscribers are ready."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from pubsub_common import validation
from pubsub_common.errors import NotReady
from pubsub_common.net.changed import Changed
from pubsub_common.text.counted import counted
from pubsub_common.text.name_list import name_list

if TYPE_CHECKING:
    from pubsub_publisher.core import PublisherCore

_log = logging.getLogger(__name__)


class SubscriberWaits:
    """For any thread. ``ended`` returns whether a wait must end early, or raises the error of
    that wait. Code that changes that calls `notify`; so does the control thread when the
    ready subscribers have changed."""

    def __init__(self, core: PublisherCore, ended: Callable[[], bool]) -> None:
        self._core = core
        self._ended = ended
        self._changed = Changed()

    def notify(self) -> None:
        """Make waiting threads check again. For signal handlers too."""
        self._changed.notify()

    def wait_for(self, count: int, timeout_s: float | None) -> None:
        """Wait until ``count`` subscribers are ready.

        Raises:
            ConfigError: ``count`` or ``timeout_s`` is not a number.
            NotReady: Fewer were ready after ``timeout_s`` seconds, or at the early end.
        """
        validation.at_least("count", count, 0)
        sessions = self._core.ready.sessions
        self._changed.wait_for(
            lambda: len(sessions) >= count or self._ended(), timeout_s
        )
        if len(sessions) < count:
            of = counted(count, "subscriber is", "subscribers are")
            raise NotReady(f"{len(sessions)} of {of} ready")

    def wait_attached(self, timeout_s: float) -> None:
        """Wait until the subscribers that the broker named are ready, for ``timeout_s``
        seconds at most. Log the missing ones."""
        missing, ready = list(self._core.listeners), self._core.ready.sessions

        def attached() -> bool:
            # Each is checked until it is ready, then no more.
            while missing and missing[-1] in ready:
                missing.pop()
            return not missing or self._ended()

        if timeout_s and not self._changed.wait_for(attached, timeout_s):
            absent = [f"{each:x}" for each in missing if each not in ready]
            _log.warning(
                "not connected within %g s: subscribers with the sessions %s",
                timeout_s,
                name_list(absent),
            )
