"""For tests of programs that publish and subscribe.

The fixtures are in `pubsub_common.testing.plugin`, which pytest finds by itself; this is what
tests import by name. See ``docs/testing.md``.

Shell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from pubsub_common.net.deadline import deadline_after

if TYPE_CHECKING:
    from pubsub_publisher import Publisher
    from pubsub_subscriber import Subscriber

__all__ = ["NewPublisher", "NewSubscriber", "wait_for"]

# Longer than anything takes on the busiest machine; only a failing test waits for it.
WAIT_S: Final = 60.0
_LOOK_S: Final = 0.002


def wait_for(
    condition: Callable[[], object],
    what: str = "the condition",
    timeout_s: float = WAIT_S,
) -> None:
    """Return when ``condition()`` is true.

    Raises:
        AssertionError: it was not within ``timeout_s`` seconds; it names ``what``.
    """
    deadline = deadline_after(timeout_s)
    while not condition():
        if deadline is not None and time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s:g} s")
        time.sleep(_LOOK_S)


class NewPublisher(Protocol):
    """What the fixture ``pubsub_publisher`` is."""

    def __call__(self, *topics: str, **options: Any) -> Publisher:
        """A connected publisher. ``options`` are those of `Publisher`."""


class NewSubscriber(Protocol):
    """What the fixture ``pubsub_subscriber`` is."""

    def __call__(self, *topics: str, **options: Any) -> Subscriber:
        """A connected subscriber. ``options`` are those of `Subscriber`."""
