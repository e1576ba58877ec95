"""Waits until all publishers are ready: what they publish from then on arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from pubsub_common.errors import NotReady
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.receiving.receiver import Receiver

# How often publishers are asked again while nothing comes: at first and at last.
_REPEAT_S: Final = 1.0
_REPEAT_MAX_S: Final = 4.0


def wait_until_ready(
    receiver: Receiver, timeout_s: float | None, stopped: Callable[[], bool]
) -> None:
    """Wait in this thread. Raises as `ready_steps` does."""
    for until in ready_steps(receiver, timeout_s, stopped):
        if until is not None:
            receiver.wait(until)


def ready_steps(
    receiver: Receiver, timeout_s: float | None, stopped: Callable[[], bool]
) -> Iterator[float | None]:
    """The steps of a wait: at each the caller is to wait for frames, but not longer than
    until the given time; None: no need to wait.

    Raises:
        NotReady: some had not answered after ``timeout_s`` seconds, or when ``stopped``
            became true, or when too many events had come that nobody received.
        PubSubError: the subscriber is not connected.
    """
    performer = receiver.performer
    now = time.monotonic()
    deadline = None if timeout_s is None else now + timeout_s
    pause_s, repeat_at = _REPEAT_S, now + _REPEAT_S
    before = performer.awaited_replies()
    while performer.awaited_replies():
        if receiver.is_full():
            raise NotReady(
                f"{performer.awaited_replies()} replies are missing, and so many events "
                "have come that they must be received first"
            )
        arrived = receiver.fetch()
        awaited = performer.awaited_replies()
        if not awaited:
            return
        now = time.monotonic()
        if stopped() or (deadline is not None and now >= deadline):
            raise NotReady(f"{awaited} replies are missing")
        if awaited != before:  # they are still coming
            before, repeat_at = awaited, now + pause_s
        elif now >= repeat_at:
            pause_s = min(2 * pause_s, _REPEAT_MAX_S)
            repeat_at = now + pause_s
            arrived |= run_uninterrupted(performer.repeat_ready_requests)
        if arrived:
            yield None
        else:
            yield repeat_at if deadline is None else min(deadline, repeat_at)
