"""Hands received events to an output: standard output, a command or a folder."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from pubsub_common.protocol.matching import subscriptions_of
from pubsub_common.protocol.wildcards import matches

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.subscriber import Subscriber

# How often an output is checked while no event arrives.
_TURN_S: Final = 1.0


class EventOutput(Protocol):
    """Takes events."""

    def write(self, event: Event) -> None:
        """Take one event."""

    def flush(self) -> None:
        """No event waits now: write the collected ones."""

    def check(self) -> None:
        """No event has arrived for a while. Raises an error if the output is closed."""

    def close(self) -> None:
        """There are no more events."""


class EventFilter:
    """Leaves out excluded topics, and chooses a part of the other events at random."""

    def __init__(self, exclude: Iterable[str], percent: float) -> None:
        names = subscriptions_of(tuple(exclude))
        self._exact = names.exact
        self._filters = names.filters
        self._share = percent / 100

    def chooses(self, event: Event) -> bool:
        """Whether the event is handled."""
        topic = event.topic
        if topic in self._exact or any(matches(each, topic) for each in self._filters):
            return False
        return self._share >= 1 or random.random() < self._share  # nosec B311


@dataclasses.dataclass(slots=True)
class Handling:
    """Handles events until a limit.

    ``limit`` counts handled events, with a filter; without a filter the subscriber has the
    limit. ``timeout_s`` ends the handling when no event was handled for that long; for the
    first event the time counts from ``since``, in seconds of the monotonic clock. ``handled``
    counts events.
    """

    output: EventOutput
    filter: EventFilter | None = None
    limit: int | None = None
    on_event: Callable[[Event], None] | None = None
    timeout_s: float | None = None
    since: float = dataclasses.field(default_factory=time.monotonic)
    handled: int = 0

    def run(self, subscriber: Subscriber) -> bool:
        """Handle events as they arrive, until the subscriber has received all wanted ones, is
        stopped, or ``timeout_s`` has passed. False after a timeout.

        Raises:
            ReaderLeft: The reader of standard output has closed it.
            OutputFailed: Standard output is closed, or full.
            OSError: A file cannot be written.
            PubSubError: The broker refused the subscriber, or commands have failed.
        """
        try:
            ended = self._run(subscriber)
        finally:
            self.output.flush()
        self.output.close()
        return ended

    def _run(self, subscriber: Subscriber) -> bool:
        receive, write = subscriber.receive, self.output.write
        count_latency = subscriber.latencies.add
        on_event, chosen = self.on_event, self.filter
        while self.handled != self.limit:
            event = receive(0.0)
            if event is None:
                self.output.flush()
                event, ended = self._wait(subscriber)
                if event is None:
                    return ended
            count_latency(event.received_ns - event.published_ns)
            if on_event is not None:
                on_event(event)
            if chosen is not None and not chosen.chooses(event):
                if self._overdue():
                    return False
                continue
            write(event)
            self.handled += 1
            if self.timeout_s is not None:
                self.since = time.monotonic()
        return True

    def _overdue(self) -> bool:
        timeout_s = self.timeout_s
        return timeout_s is not None and time.monotonic() >= self.since + timeout_s

    def _wait(self, subscriber: Subscriber) -> tuple[Event | None, bool]:
        """The next event; without one, whether the subscriber has ended; else the timeout is
        over."""
        while True:
            now = time.monotonic()
            turn_s = _TURN_S
            if self.timeout_s is not None:
                turn_s = min(turn_s, max(0.0, self.since + self.timeout_s - now))
            event = subscriber.receive(turn_s)
            if event is not None:
                return event, False
            if time.monotonic() < now + turn_s:  # it did not wait at all
                return None, True
            if self._overdue():
                return None, False
            self.output.check()
