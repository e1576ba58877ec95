"""Detects the form of a table from its first lines.

An unclear table is rejected, never guessed; the message names the expected form, and the
options that describe it. Three columns without a header are publisher, topic and seconds, as
subscribers write them.
"""

from __future__ import annotations

import csv
import dataclasses
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.text.ascii_numbers import is_digits, real_number
from pubsub_common.text.printable import printable
from pubsub_perf.results import column_names
from pubsub_perf.results.column_names import UNITS
from pubsub_perf.results.table_source import TableSource

# Enough lines to detect the form.
SAMPLE_LINES: Final = 50
_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SPACES: Final = " "
# Columns of a file that a subscriber writes: publisher, topic, seconds.
_PLAIN: Final = 3
# No latency takes three hours; the seconds of a clock are many more.
_MAX_UNNAMED_S: Final = 10_000.0
# Longer latencies without a unit may be milliseconds or microseconds.
_LONG_S: Final = 0.5
_MAX_SHOWN: Final = 200
_EXPECTED: Final = (
    "expected a column latency, latency_s, latency_ms or latency_us, or three columns of "
    "publisher, topic and seconds; --column names the latencies, --unit their unit"
)
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?\s*")
_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}|:[0-9]+$|^[0-9]+$")


class TableRefused(ConfigError):
    """A table does not identify its latencies, for this ``reason``. Text without ``numbers``
    is not a table."""

    numbers = True

    def __init__(self, reason: str) -> None:
        self.reason = printable(reason)
        super().__init__(self.reason)


@dataclasses.dataclass(frozen=True, slots=True)
class TableForm:
    """How to read a table. ``begin`` lines come before its rows. ``notes`` describe unusual
    readings."""

    delimiter: str = ","
    latency: int = 2
    publisher: int | None = 0
    topic: int | None = 1
    per_second: float = 1.0
    decimal_comma: bool = False
    header: tuple[str, ...] | None = None
    begin: int = 0
    notes: tuple[str, ...] = ()

    def columns(self, line: str) -> list[str]:
        """The fields of a line. No field holds a line break, so each line is parsed alone: a
        stray quote breaks its own row only."""
        if self.delimiter == _SPACES:
            return line.split()
        if '"' not in line:
            return line.split(self.delimiter)
        try:
            return next(csv.reader([line], delimiter=self.delimiter), [])
        except csv.Error:
            return [line]


def form_of(lines: Sequence[str], source: TableSource) -> TableForm:
    """The form of a table that begins with ``lines``.

    Raises:
        TableRefused: the lines do not identify the latencies.
    """
    begin, named_delimiter = _preamble(lines)
    sample = [line for line in lines[begin:] if line.strip()]
    if not sample:
        return TableForm(begin=begin)
    delimiter = source.delimiter or named_delimiter or _delimiter(sample)
    form = TableForm(delimiter=delimiter, begin=begin)
    rows = [form.columns(line) for line in sample]
    header = None
    if _is_header(rows[0]):
        first = next(i for i in range(begin, len(lines)) if lines[i].strip())
        header = tuple(_clean(name) for name in rows.pop(0))
        form = dataclasses.replace(form, header=header, begin=first + 1)
    widths = Counter(len(row) for row in rows)
    width = widths.most_common(1)[0][0] if widths else len(header or ())
    if header and delimiter == "," and width == len(header) + 1 and _are_split(rows):
        raise TableRefused(
            f"its header names {len(header)} columns and its rows have {width}: decimal "
            "commas need another delimiter, like semicolons"
        )
    hint = (
        "; are these decimal commas?" if delimiter == "," and _are_split(rows) else ""
    )
    try:
        column = _latency_column(header, width, source, hint)
    except TableRefused as refused:
        refused.numbers = any(_is_number(field) for row in rows for field in row)
        raise
    form = _with_columns(form, column, header, width)
    return _with_unit(form, [row[column] for row in rows if column < len(row)], source)


def _preamble(lines: Sequence[str]) -> tuple[int, str | None]:
    """The number of lines before the table, and the delimiter that they name."""
    delimiter = None
    for number, line in enumerate(lines):
        text = line.strip()
        if match := re.fullmatch(r"sep=(.)", text.lower()):
            delimiter = match[1]
        elif text.startswith("#"):
            names = re.split(r"[,;\t|]", text.lstrip("# "))
            if len(names) > 1 and column_names.latency_columns(names):
                return number, delimiter
        elif text:
            return (number, delimiter) if number else (0, None)
    return 0, None


def _delimiter(sample: Sequence[str]) -> str:
    """The delimiter with which the first line is a header with a latency; else the one that
    splits these lines into the most columns, with an equal number in each."""
    found = {each: TableForm(delimiter=each) for each in (*_SEPARATORS, _SPACES)}
    headers = {each: form.columns(sample[0]) for each, form in found.items()}
    naming = [
        each
        for each, names in headers.items()
        if len(names) > 1 and column_names.latency_columns(list(map(_clean, names)))
    ]
    if naming:
        return max(naming, key=lambda each: len(headers[each]))
    return max(_SEPARATORS, key=lambda each: _split(sample, found[each]))


def _split(sample: Sequence[str], form: TableForm) -> tuple[int, bool, bool]:
    """How well a delimiter splits these lines: the number of columns in all of them, and whether
    the last one is a number. With equal results, a comma is more likely part of numbers."""
    rows = [form.columns(line) for line in sample]
    width, times = Counter(map(len, rows)).most_common(1)[0]
    if width < 2 or 10 * times < 9 * len(rows):
        return 1, False, form.delimiter == ","
    numbers = sum(_is_number(row[-1]) for row in rows)
    return width, 2 * numbers > len(rows), form.delimiter != ","


def _is_header(row: Sequence[str]) -> bool:
    """Whether the fields are column names, not an event with a broken latency."""
    names = [_clean(name) for name in row]
    if column_names.latency_columns(names):
        return True
    if not names or not all(names) or any(map(_is_number, names)):
        return False
    return names[-1][0].isalpha() and not _ADDRESS.search(names[0])


def _are_split(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the last two fields may be the two sides of a decimal comma."""
    return bool(rows) and all(
        len(row) > 1
        and row[-2].strip("+- ").isdecimal()
        and row[-1].strip().isdecimal()
        for row in rows
    )


def _clean(name: str) -> str:
    return name.strip().lstrip("#").strip()


def _is_number(text: str) -> bool:
    try:
        real_number(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _latency_column(
    header: Sequence[str] | None, width: int, source: TableSource, hint: str
) -> int:
    if source.column is not None:
        return _chosen(source.column, header, width)
    found = [] if header is None else column_names.latency_columns(header)
    if len(found) > 1 and header is not None:
        names = " and ".join(repr(header[i]) for i in found)
        raise TableRefused(f"{names} are all latencies; --column selects one")
    if found:
        return found[0]
    if header is None and width == _PLAIN:
        return _PLAIN - 1
    if header is None:
        which = "column" if width == 1 else "columns"
        what = f"no header, and {width} {which} of data{hint}"
        raise TableRefused(f"{what}: {_EXPECTED}")
    names = ",".join(header)
    shown = f"{names[:_MAX_SHOWN]}..." if len(names) > _MAX_SHOWN else names
    raise TableRefused(f"no column of latencies in its header {shown!r}: {_EXPECTED}")


def _chosen(column: str, header: Sequence[str] | None, width: int) -> int:
    wanted = column.strip().lower()
    names = [name.lower() for name in header or ()]
    if wanted in names:
        return names.index(wanted)
    if is_digits(wanted) and 1 <= int(wanted) <= max(width, len(names)):
        return int(wanted) - 1
    there = ",".join(header) if header else f"{width} columns without names"
    raise TableRefused(f"no column {column!r}: it has {there[:_MAX_SHOWN]}")


def _with_columns(
    form: TableForm, column: int, header: Sequence[str] | None, width: int
) -> TableForm:
    if header is not None:
        publisher = column_names.publisher_column(header)
        topic = column_names.topic_column(header)
    elif column == _PLAIN - 1 and width == _PLAIN:
        publisher, topic = 0, 1
    else:
        publisher = topic = None
    return dataclasses.replace(form, latency=column, publisher=publisher, topic=topic)


def _with_unit(
    form: TableForm, values: Sequence[str], source: TableSource
) -> TableForm:
    notes = []
    if form.delimiter in _SEPARATORS and form.delimiter != ",":
        notes.append(f"{_SEPARATORS[form.delimiter]} between its columns")
    comma = (
        bool(values)
        and sum(_DECIMAL_COMMA.fullmatch(value) is not None for value in values)
        > len(values) // 2
    )
    if comma:
        notes.append("decimal commas")
    notes = [f"is read with {' and '.join(notes)}"] if notes else []
    name = form.header[form.latency] if form.header else f"{form.latency + 1}"
    told = column_names.unit_of(name) if form.header else None
    if source.unit and told and source.unit != told:
        notes.append(f"column {name!r} is read in {source.unit}, as --unit says")
    unit = source.unit or told
    if unit is None:
        middle = _middle(values)
        _check_plausible(middle, name)
        as_written = (len(form.header or ()), form.latency) == (_PLAIN, _PLAIN - 1)
        if form.header is not None and (not as_written or middle > _LONG_S):
            notes.append(f"column {name!r} names no unit, and is read in s; see --unit")
    return dataclasses.replace(
        form,
        per_second=UNITS[unit or "s"],
        decimal_comma=comma,
        notes=tuple(notes),
    )


def _middle(values: Sequence[str]) -> float:
    """The median magnitude of the numbers in a column, 0 where there are none."""
    numbers = [
        abs(real_number(text.replace(",", "."))) for text in values if _is_number(text)
    ]
    finite = [number for number in numbers if number < float("inf")]
    return statistics.median(finite) if finite else 0.0


def _check_plausible(middle: float, name: str) -> None:
    """Raises:
    TableRefused: in seconds the column cannot hold latencies.
    """
    if middle > _MAX_UNNAMED_S:
        raise TableRefused(
            f"column {name!r} has values like {middle:.6g}, which cannot be latencies in "
            "seconds: give their --unit, or another --column"
        )
