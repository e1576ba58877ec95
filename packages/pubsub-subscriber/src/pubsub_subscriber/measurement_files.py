"""``--details`` and ``--report`` of the subscriber."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.measurement.measurement_files import MeasurementFiles

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.event_table import EventTable
    from pubsub_subscriber.subscriber import Subscriber

HEADER: Final = (
    "publisher",
    "topic",
    "session",
    "sequence",
    "published_ns",
    "received_ns",
)


class SubscriberFiles:
    """Collects the data for the two options."""

    def __init__(
        self, details: str | None, report: str | None, *, safe_csv: bool = False
    ) -> None:
        """Raises:
        ConfigError: A file cannot be written.
        """
        self._files = MeasurementFiles(details, report, safe_csv=safe_csv)
        self._table: EventTable | None = None

    def listener(
        self, show: Callable[[Event], None] | None
    ) -> Callable[[Event], None] | None:
        """The function to call for each event; None if there is none."""
        if not self._files.details_wanted:
            return show
        from pubsub_subscriber.event_table import EventTable

        self._table = table = EventTable(_numbers_of, len(HEADER) - 2)
        if show is None:
            return table.add

        def listen(event: Event) -> None:
            table.add(event)
            show(event)

        return listen

    def write(self, subscriber: Subscriber) -> None:
        """Write the files.

        Raises:
            OSError: A file could not be written.
        """
        if self._table is not None:
            self._files.write_details(HEADER, self._table.rows())
        if self._files.report_wanted:
            self._files.write_report(report(subscriber))


def _numbers_of(event: Event) -> tuple[int, ...]:
    return event.session, event.sequence, event.published_ns, event.received_ns


def report(subscriber: Subscriber) -> dict[str, Any]:
    """The numbers of events, and their latency."""
    counts = subscriber.counts()
    return {
        "role": "subscriber",
        "topics": list(subscriber.topics),
        "events": subscriber.event_count,
        "received": counts.received,
        "recovered": counts.recovered,
        "lost": counts.lost,
        "duplicated": counts.duplicated,
        "reordered": counts.reordered,
        "malformed": subscriber.malformed_count,
        "latency_ns": dict(subscriber.latencies.summary_ns()),
        # The true latency is the measured one plus a number in this range.
        "latency_error_ns": subscriber.latency_error_ns(),
    }
