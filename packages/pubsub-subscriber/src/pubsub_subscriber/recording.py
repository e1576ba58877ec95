"""Receives events for `notify`: records their latencies, and ends after a number of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from pubsub_common.counted import counted
from pubsub_common.measurement.latency_file import write_latencies
from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.protocol.events import Event
from pubsub_subscriber.config import SubscriberConfig
from pubsub_subscriber.measurement.latency_recorder import LatencyRecorder
from pubsub_subscriber.receiving.receiver import Receiver

_log = logging.getLogger(__name__)


class Recording:
    """``latencies`` has the latencies of all events; the recorder stores each one for the
    file."""

    def __init__(self, config: SubscriberConfig, receiver: Receiver) -> None:
        self.latencies = LatencyHistogram()
        self._config = config
        # Without one, a function in C that does nothing.
        self.on_event: Callable[[Event], object] = config.on_event or bool
        self._last: Event | None = None  # the last recorded event
        self._receiver = receiver
        self._recorder = LatencyRecorder()

    def wanted(self) -> int:
        """How many events are still to be received."""
        limit = self._config.notify_limit
        if limit is None:
            return sys.maxsize
        return max(0, limit - self._receiver.event_count)

    def limited(self, events: Iterable[Event]) -> Iterator[Event]:
        """The events of an iteration, at most as many as wanted."""
        return islice(events, self.wanted())

    def add(self, event: Event) -> None:
        """Call the user's ``on_event``, and record the event."""
        try:
            self.on_event(event)
        finally:
            self.record(event)

    def record(self, event: Event) -> None:
        """Record an event that was passed to the user."""
        self._last = event
        if self._config.filename is not None:
            self._recorder.add(event)
        self.latencies.add(event.latency_ns)

    def log_limit(self) -> None:
        """Log it if the number of events has ended the reception."""
        if self.wanted():
            return
        limit = counted(self._config.notify_limit or 0, "event")
        if self._config.max_event_count is None:  # the default
            _log.warning(
                "notify ended after %s, the limit without a max_event_count; "
                "indefinite=True has no limit",
                limit,
            )
        else:
            _log.info(
                "notify ended after %s (max_event_count)",
                limit,
            )

    def write(self, last: Event | None = None) -> None:
        """Write the latencies to the file, if there is one. This includes the ``last`` event if
        it was not recorded because ``on_event`` raised.

        Raises:
            OSError: The file could not be written.
        """
        if last is not None and last is not self._last:
            self.record(last)
        if self._config.filename is not None:
            write_latencies(
                Path(self._config.filename),
                self._recorder.rows(),
                safe=self._config.safe_csv,
            )
