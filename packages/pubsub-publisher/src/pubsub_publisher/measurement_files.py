"""``--details`` and ``--report`` of the publisher. Shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.files import check_writable

if TYPE_CHECKING:
    from pubsub_publisher.publisher import Publisher

HEADER: Final = ("topic", "sequence", "intended_ns", "sent_ns")


class Measure:
    """Collects what the two options ask for.

    Lateness is how long after it was due an event was sent.
    """

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
        self._lateness: Any = None

    def listener(self) -> Callable[[str, int, int, int], None] | None:
        """What is to be called for each event; None when nothing is."""
        if self._details is None and self._report is None:
            return None
        from pubsub_common.measurement.event_details import Columns
        from pubsub_common.measurement.latency_histogram import LatencyHistogram

        self._columns = columns = Columns(3)
        self._lateness = lateness = LatencyHistogram()

        def listen(topic: str, sequence: int, intended_ns: int, sent_ns: int) -> None:
            columns.add((topic,), sequence, intended_ns, sent_ns)
            lateness.add(sent_ns - intended_ns)

        return listen

    def write(self, publisher: Publisher) -> None:
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
            report = {
                "role": "publisher",
                "address": publisher.address,
                "topics": list(publisher.topics),
                "sent": len(self._columns),
                "lateness_ns": dict(self._lateness.summary_ns()),
            }
            event_details.write_report(Path(self._report), report)
