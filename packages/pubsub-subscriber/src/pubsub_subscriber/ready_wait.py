"""Waits until all publishers are ready: all events that they publish from then on arrive."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

from pubsub_common.earliest import earliest
from pubsub_common.errors import NotReady
from pubsub_common.net.deadline import deadline_after
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.receiving.receiver import Receiver


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
    """The steps of a wait: at each the caller waits for frames until the given time at most;
    None: no need to wait.

    Raises:
        ConfigError: ``timeout_s`` is not a number.
        NotReady: Publishers had not replied after ``timeout_s`` seconds, or when ``stopped``
            became true, or when too many events had come that were not received.
        PubSubError: The subscriber is not connected.
    """
    performer = receiver.performer
    ask = functools.partial(performer.ask_again, looked=True)
    deadline = deadline_after(timeout_s)
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
        arrived |= run_uninterrupted(ask)
        if arrived:
            yield None
        else:
            until = earliest(deadline, performer.repetition.at)
            yield now if until is None else until
