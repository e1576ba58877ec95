"""Receives events for `notify`: records their latencies, and ends after a number of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import cast

from pubsub_common.measurement.latency_file import write_latencies
from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.protocol.events import Event
from pubsub_common.text.counted import counted
from pubsub_subscriber.config import SubscriberConfig
from pubsub_subscriber.event_table import EventTable
from pubsub_subscriber.receiving.receiver import Receiver

_log = logging.getLogger(__name__)


class _Counter:
    """Counts latencies; ``last`` is the last event that was added."""

    def __init__(self) -> None:
        self.last: Event | None = None
        self.latencies = LatencyHistogram()

    def add(self, event: Event) -> None:
        """Count the latency of an event."""
        self.last = event
        self.latencies.add(event.latency_ns)


class Recording:
    """Records the latency of each event in a histogram; for a file, in a table, of which the
    histogram is made when it is wanted."""

    def __init__(self, config: SubscriberConfig, receiver: Receiver) -> None:
        self._counter = _Counter()
        self._config = config
        # Without one, a function in C that does nothing.
        self.on_event: Callable[[Event], object] = config.on_event or bool
        self._receiver = receiver
        self._table: EventTable | None = None
        if config.filename is not None:
            self._table = EventTable(_latency_of, 1)
        # Records an event that was passed to the user.
        recorder = self._counter if self._table is None else self._table
        self.record: Callable[[Event], None] = recorder.add

    @property
    def latencies(self) -> LatencyHistogram:
        """The latencies of all recorded events so far. For any thread."""
        table, counter = self._table, self._counter
        if table is not None and len(table) != counter.latencies.count:
            latencies_ns = (int(latency_ns) for *_, latency_ns in table.rows())
            counter.latencies = LatencyHistogram(latencies_ns)
        return counter.latencies

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
        recorder = self._counter if self._table is None else self._table
        if last is not None and last is not recorder.last:
            self.record(last)
        if self._table is not None and self._config.filename is not None:
            rows = cast("Iterator[tuple[str, str, int]]", self._table.rows())
            path = Path(self._config.filename)
            write_latencies(path, rows, safe=self._config.safe_csv)


def _latency_of(event: Event) -> tuple[int]:
    return (event.received_ns - event.published_ns,)
