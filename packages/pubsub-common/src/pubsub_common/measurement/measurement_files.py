"""The files of ``--details`` and ``--report``, which publisher and subscriber share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pubsub_common.files import check_writable

if TYPE_CHECKING:
    from pubsub_common.measurement.event_details import Columns


class MeasurementFiles:
    """The files that the two options name; each role collects their content.

    What writes them is loaded only when one is asked for: idle roles stay small.
    """

    def __init__(
        self, details: str | None, report: str | None, *, safe_csv: bool = False
    ) -> None:
        """``safe_csv``: the texts in the details are cells that no spreadsheet runs.

        Raises:
            ConfigError: a file cannot be written.
        """
        for name in (details, report):
            if name is not None:
                check_writable(name)
        self._details = details
        self._report = report
        self._safe_csv = safe_csv

    @property
    def details_wanted(self) -> bool:
        """Whether ``--details`` was given."""
        return self._details is not None

    @property
    def report_wanted(self) -> bool:
        """Whether ``--report`` was given."""
        return self._report is not None

    def new_columns(self, numbers: int) -> Columns:
        """A table for the rows of the details, each with so many numbers."""
        from pubsub_common.measurement.event_details import Columns

        return Columns(numbers)

    def write_details(
        self, header: Sequence[str], rows: Iterable[Sequence[str | int]]
    ) -> None:
        """Write the details, if they were asked for.

        Raises:
            OSError: they could not be written.
        """
        if self._details is not None:
            from pubsub_common.measurement import event_details

            event_details.write_details(
                Path(self._details), header, rows, safe=self._safe_csv
            )

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write the report, if it was asked for.

        Raises:
            OSError: it could not be written.
        """
        if self._report is not None:
            from pubsub_common.measurement import event_details

            event_details.write_report(Path(self._report), report)
