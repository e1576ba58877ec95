"""Writes the files of ``--details`` and ``--report``: a table of events, and a report.

A *details* file is CSV compressed by gzip, one row an event; a *report* is a JSON
object with counts and figures. Both are made for sweeps, and read by their analysis.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pubsub_common.files import atomic_replace
from pubsub_common.measurement.safe_csv import safe_cell

# Fast rather than small: a role writes this while others may still be measured.
_COMPRESSION: Final = 1
_MAX: Final = 2**63 - 1


class Columns:
    """Rows of names and numbers, in columns of machine integers: names are stored once
    and referred to."""

    __slots__ = ("_index", "_names", "_numbers", "_which")

    def __init__(self, numbers: int) -> None:
        """``numbers`` is how many numbers each row has."""
        self._names: list[tuple[str, ...]] = []
        self._index: dict[tuple[str, ...], int] = {}
        self._which = array("L")
        self._numbers = tuple(array("q") for _ in range(numbers))

    def __len__(self) -> int:
        return len(self._which)

    def add(self, names: tuple[str, ...], *numbers: int) -> None:
        """Add a row."""
        index = self._index.get(names)
        if index is None:
            index = self._index[names] = len(self._names)
            self._names.append(names)
        self._which.append(index)
        for column, number in zip(self._numbers, numbers, strict=True):
            try:
                column.append(number)
            except OverflowError:  # a peer's nonsensical stamp: the row stays one
                column.append(_MAX if number > 0 else -_MAX)

    def rows(self) -> Iterable[tuple[str | int, ...]]:
        """The rows, oldest first, names before numbers."""
        for position, which in enumerate(self._which):
            numbers = (column[position] for column in self._numbers)
            yield (*self._names[which], *numbers)


def write_details(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[str | int]],
    *,
    safe: bool = False,
) -> None:
    """Write a details file, whole or not at all; ``safe``: its texts as cells that no
    spreadsheet runs.

    Raises:
        OSError: it could not be written.
    """
    with (
        atomic_replace(path) as part,
        gzip.open(part, "wb", compresslevel=_COMPRESSION) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(map(_safe_row, rows) if safe else rows)


def _safe_row(row: Sequence[str | int]) -> list[str | int]:
    return [safe_cell(cell) if isinstance(cell, str) else cell for cell in row]


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report, whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    with atomic_replace(path) as part:
        part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
