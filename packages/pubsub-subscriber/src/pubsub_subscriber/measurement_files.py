"""``--details`` and ``--report`` of the subscriber."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.measurement.measurement_files import MeasurementFiles

if TYPE_CHECKING:
    from pubsub_common.measurement.event_details import Columns
    from pubsub_common.protocol.events import Event
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
        self._columns: Columns | None = None

    def listener(
        self, show: Callable[[Event], None] | None
    ) -> Callable[[Event], None] | None:
        """The function to call for each event; None if there is none."""
        if not self._files.details_wanted:
            return show
        self._columns = columns = self._files.new_columns(4)
        add = columns.add

        def listen(event: Event) -> None:
            add(
                (event.publisher, event.topic),
                event.session,
                event.sequence,
                event.published_ns,
                event.received_ns,
            )
            if show is not None:
                show(event)

        return listen

    def write(self, subscriber: Subscriber) -> None:
        """Write the files.

        Raises:
            OSError: A file could not be written.
        """
        if self._columns is not None:
            self._files.write_details(HEADER, self._columns)
        if self._files.report_wanted:
            self._files.write_report(report(subscriber))


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
