"""Reads one subscriber's latency file.

Written by `pubsub_common.measurement.latency_file`, or by others: the header may be missing or name
other columns; the third column is seconds in any case. No row is dropped in silence:
a row without a number is counted by its fault.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from pubsub_common.files import opened
from pubsub_perf.folder_files import MAX_DATA_BYTES
from pubsub_perf.results.cells import Fault, Faults, SubscriberData

# No clock fault reaches this far (30,000 years); larger numbers are garbage, and axes
# cannot be drawn for them.
_MAX_S: Final = 1e12
_MAX_LINE: Final = 65_536
_INDEXED: Final = re.compile(r"subscriber-([0-9]{1,9})")
_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}|:[0-9]+$|^[0-9]+$")


def is_data_name(name: str) -> bool:
    """Whether a file of this name can be a latency file."""
    if name.startswith("."):
        return False
    suffix = Path(name).suffix.lower()
    return suffix in ("", ".csv")


def read_latencies(path: Path, root: Path | None = None) -> SubscriberData:
    """Read one file, which lies in the folder ``root`` if that is given. What is in it, or that
    it cannot be opened, is no error: then the result has no latencies and says why.

    Raises:
        NotReadable: it is no plain file, not in the folder, or too large.
    """
    stem = path.stem if path.suffix.lower() == ".csv" else path.name
    indexed = _INDEXED.fullmatch(stem)
    rows = _Rows()
    unreadable = None
    try:
        with (
            opened(path, MAX_DATA_BYTES, within=root) as (descriptor, _),
            os.fdopen(
                descriptor, encoding="utf-8-sig", errors="replace", closefd=False
            ) as file,
        ):
            # No longer ones: a file may have no end of line at all.
            rows.feed(iter(partial(file.readline, _MAX_LINE), ""))
    except OSError as error:
        unreadable = error.strerror or str(error)
    return SubscriberData(
        name=stem,
        index=int(indexed[1]) if indexed else None,
        publishers=tuple(dict.fromkeys(publisher for publisher, _ in rows.streams)),
        topics=tuple(dict.fromkeys(topic for _, topic in rows.streams)),
        latencies=np.array(rows.latencies, dtype=np.float64),
        faults=tuple(
            Faults(fault, count, first) for fault, (count, first) in rows.faults.items()
        ),
        header=rows.header,
        unreadable=unreadable,
        streams=tuple(rows.streams),
        stream_of=np.array(rows.stream_of, dtype=np.int32),
        row_of=np.array(rows.row_of, dtype=np.int64),
    )


class _Rows:
    """Sorts rows into latencies and faults."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.streams: dict[tuple[str, str], int] = {}
        self.stream_of: list[int] = []
        self.row_of: list[int] = []
        self.rows = 0
        self.faults: dict[Fault, tuple[int, int]] = {}
        self.header: tuple[str, ...] | None = None

    def feed(self, lines: Iterable[str]) -> None:
        first = True
        for number, line in enumerate(lines, start=1):
            row = _columns(line)
            value, fault = _value(row)
            if fault is None:
                self.latencies.append(value)
                self.row_of.append(self.rows)
                self.rows += 1
                stream = row[0].strip(), row[1].strip()
                self.stream_of.append(
                    self.streams.setdefault(stream, len(self.streams))
                )
            elif first and fault == "broken row" and _is_header(row):
                self.header = tuple(name.strip().lower() for name in row)
            else:
                count, where = self.faults.get(fault, (0, number))
                self.faults[fault] = (count + 1, where)
                self.rows += fault != "blank row"
            first = first and fault == "blank row"


def _columns(line: str) -> list[str]:
    # No field holds a line break, so each line is parsed alone: a stray quote breaks
    # its own row and does not swallow those after it.
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return [line]


def _value(row: list[str]) -> tuple[float, Fault | None]:
    if len(row) < 3 or "_" in row[2] or not row[2].isascii():
        return math.nan, "broken row" if any(map(str.strip, row)) else "blank row"
    try:
        value = float(row[2])
    except ValueError:
        if row[2].strip():
            return math.nan, "broken row"
        blank = not any(map(str.strip, row))
        return math.nan, "blank row" if blank else "row without latency"
    if abs(value) <= _MAX_S:
        return value, None
    if math.isnan(value):
        return value, "NaN"
    return value, "infinity" if math.isinf(value) else "broken row"


def _is_header(row: list[str]) -> bool:
    """Names of columns, and not an event whose latency is broken."""
    third = row[2].strip() if len(row) > 2 else ""
    return bool(third) and third[0].isalpha() and not _ADDRESS.search(row[0].strip())
