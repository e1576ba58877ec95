"""Reads one subscriber's latency file.

`pubsub_common.measurement.latency_file` or another program wrote the file; its first lines show
its form (`table_form`). No row is dropped silently: a row without a number is counted by
its fault.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from pubsub_common.files import NotReadable, opened
from pubsub_perf.folder_files import MAX_DATA_BYTES
from pubsub_perf.results.cells import Fault, Faults, SubscriberData
from pubsub_perf.results.table_form import (
    SAMPLE_LINES,
    TableForm,
    TableRefused,
    form_of,
)
from pubsub_perf.results.table_source import TableSource
from pubsub_perf.results.text_encoding import SAMPLE_BYTES, encoding_of

# No clock fault reaches this far (30,000 years); larger numbers are garbage, and axes
# cannot be drawn for them.
_MAX_S: Final = 1e12
_MAX_LINE: Final = 65_536
# Files with these suffixes may be tables, or other texts.
_OTHER_SUFFIXES: Final = (".txt", ".dat")
_INDEXED: Final = re.compile(r"subscriber-([0-9]{1,9})")


def is_data_name(name: str) -> bool:
    """Whether a file of this name can be a latency file."""
    if name.startswith("."):
        return False
    suffix = Path(name).suffix.lower()
    return suffix in ("", ".csv", ".tsv")


def looks_like_a_table(path: Path, root: Path, source: TableSource) -> bool:
    """Whether a text file that is not read by its name begins like a table of latencies."""
    if path.name.startswith(".") or path.suffix.lower() not in _OTHER_SUFFIXES:
        return False
    try:
        with opened(path, MAX_DATA_BYTES, within=root) as (descriptor, _):
            content = os.pread(descriptor, SAMPLE_BYTES, 0)
        head = content.decode(encoding_of(content)[0], "replace").splitlines(True)
        head = head[:SAMPLE_LINES]
        rows = _Rows(form_of(head, source))
        rows.feed(head)
    except (OSError, NotReadable, TableRefused):
        return False
    return len(rows.latencies) > 0


def read_latencies(
    path: Path, root: Path | None = None, source: TableSource | None = None
) -> SubscriberData:
    """Read one file, which is in the folder ``root`` if that is given. ``source`` describes
    tables without clear headers. For a file that cannot be opened, the result has no
    latencies and the reason.

    Raises:
        NotReadable: it is not a plain file, not in the folder, or too large.
        TableRefused: the table does not identify its latencies.
    """
    stem = path.stem if path.suffix.lower() in (".csv", ".tsv") else path.name
    indexed = _INDEXED.fullmatch(stem)
    form, notes = TableForm(), []
    rows = _Rows(form)
    unreadable = None
    try:
        with opened(path, MAX_DATA_BYTES, within=root) as (descriptor, _):
            encoding, note = encoding_of(os.pread(descriptor, SAMPLE_BYTES, 0))
            notes += [note] if note else []
            with os.fdopen(
                descriptor, encoding=encoding, errors="replace", closefd=False
            ) as file:
                # Longer lines are split: a file may have no end of line.
                lines = iter(partial(file.readline, _MAX_LINE), "")
                head = list(itertools.islice(lines, SAMPLE_LINES))
                form = form_of(head, source or TableSource())
                rows = _Rows(form)
                rows.feed(itertools.chain(head, lines))
    except OSError as error:
        unreadable = error.strerror or str(error)
    return SubscriberData(
        name=stem,
        index=int(indexed[1]) if indexed else None,
        publishers=tuple(
            dict.fromkeys(publisher for publisher, _ in rows.streams if publisher)
        ),
        topics=tuple(dict.fromkeys(topic for _, topic in rows.streams if topic)),
        latencies=np.array(rows.latencies, dtype=np.float64) / form.per_second,
        faults=tuple(
            Faults(fault, count, first) for fault, (count, first) in rows.faults.items()
        ),
        header=form.header,
        unreadable=unreadable,
        notes=(*notes, *form.notes),
        streams=tuple(rows.streams),
        stream_of=np.array(rows.stream_of, dtype=np.int32),
        row_of=np.array(rows.row_of, dtype=np.int64),
    )


class _Rows:
    """Sorts rows into latencies, in the unit of the table, and faults."""

    def __init__(self, form: TableForm) -> None:
        self._form = form
        self._max = _MAX_S * form.per_second
        self.latencies: list[float] = []
        self.streams: dict[tuple[str, str], int] = {}
        self.stream_of: list[int] = []
        self.row_of: list[int] = []
        self.rows = 0
        self.faults: dict[Fault, tuple[int, int]] = {}

    def feed(self, lines: Iterable[str]) -> None:
        form = self._form
        for number, line in enumerate(lines, start=1):
            if number <= form.begin:
                continue
            row = form.columns(line)
            value, fault = self._value(row)
            if fault is None:
                self.latencies.append(value)
                self.row_of.append(self.rows)
                self.rows += 1
                stream = _field(row, form.publisher), _field(row, form.topic)
                self.stream_of.append(
                    self.streams.setdefault(stream, len(self.streams))
                )
            else:
                count, where = self.faults.get(fault, (0, number))
                self.faults[fault] = (count + 1, where)
                self.rows += fault != "blank row"

    def _value(self, row: list[str]) -> tuple[float, Fault | None]:
        column = self._form.latency
        if len(row) <= column or "_" in row[column] or not row[column].isascii():
            return math.nan, "broken row" if any(map(str.strip, row)) else "blank row"
        text = row[column]
        if self._form.decimal_comma and "," in text:
            text = text.replace(".", "").replace(",", ".")
        try:
            value = float(text)
        except ValueError:
            if text.strip():
                return math.nan, "broken row"
            blank = not any(map(str.strip, row))
            return math.nan, "blank row" if blank else "row without latency"
        if abs(value) <= self._max:
            return value, None
        if math.isnan(value):
            return value, "NaN"
        return value, "infinity" if math.isinf(value) else "broken row"


def _field(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""
