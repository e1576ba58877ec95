"""``--details`` and ``--report`` of the subscriber. Shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.files import check_writable

if TYPE_CHECKING:
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


class Measure:
    """Collects what the two options ask for."""

    def __init__(self, details: str | None, report: str | None) -> None:
        """Raises:
        ConfigError: a file cannot be written.
        """
        for name in (details, report):
            if name is not None:
                check_writable(name)
        self._details = details
        self._report = report
        self._columns: Any = None

    def listener(
        self, show: Callable[[Event], None] | None
    ) -> Callable[[Event], None] | None:
        """What is to be called for each event; None when nothing is."""
        if self._details is None:
            return show
        from pubsub_common.measurement.event_details import Columns

        self._columns = columns = Columns(4)
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
            OSError: one could not be written.
        """
        from pubsub_common.measurement import event_details

        if self._details is not None:
            event_details.write_details(
                Path(self._details), HEADER, self._columns.rows()
            )
        if self._report is not None:
            event_details.write_report(Path(self._report), report(subscriber))


def report(subscriber: Subscriber) -> dict[str, Any]:
    """What became of the events, and how long they took."""
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
        # The true latency is the measured one plus something in this range.
        "latency_error_ns": subscriber.latency_error_ns(),
    }
