"""``--details`` and ``--report`` of the publisher."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_common.measurement.measurement_files import MeasurementFiles

if TYPE_CHECKING:
    from pubsub_common.measurement.event_details import Columns
    from pubsub_common.measurement.latency_histogram import LatencyHistogram
    from pubsub_publisher.publisher import Publisher

HEADER: Final = ("topic", "sequence", "intended_ns", "sent_ns")


class PublisherFiles:
    """Collects the data for the two options.

    Lateness is the time between when an event was due and when it was sent.
    """

    def __init__(
        self, details: str | None, report: str | None, *, safe_csv: bool = False
    ) -> None:
        """Raises:
        ConfigError: A file cannot be written.
        """
        self._files = MeasurementFiles(details, report, safe_csv=safe_csv)
        self._collected: tuple[Columns, LatencyHistogram] | None = None

    def listener(self) -> Callable[[str, int, int, int], None] | None:
        """The function to call for each event; None if there is none."""
        if not (self._files.details_wanted or self._files.report_wanted):
            return None
        from pubsub_common.measurement.latency_histogram import LatencyHistogram

        columns, lateness = self._files.new_columns(3), LatencyHistogram()
        self._collected = columns, lateness

        def listen(topic: str, sequence: int, intended_ns: int, sent_ns: int) -> None:
            columns.add((topic,), sequence, intended_ns, sent_ns)
            lateness.add(sent_ns - intended_ns)

        return listen

    def write(self, publisher: Publisher) -> None:
        """Write the files.

        Raises:
            OSError: A file could not be written.
        """
        if self._collected is None:
            return
        columns, lateness = self._collected
        self._files.write_details(HEADER, columns.rows())
        self._files.write_report(
            {
                "role": "publisher",
                "address": publisher.address,
                "topics": list(publisher.topics),
                "sent": len(columns),
                "lateness_ns": dict(lateness.summary_ns()),
            }
        )
