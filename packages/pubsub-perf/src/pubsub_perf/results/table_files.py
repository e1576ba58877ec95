"""Writes tables as CSV or Parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from pubsub_common.errors import ConfigError
from pubsub_common.files import atomic_replace, reason_of
from pubsub_perf.folder_files import make_folder
from pubsub_perf.results.loading import Results
from pubsub_perf.results.table import Column, Table
from pubsub_perf.results.tables import NO_EVENTS, NOT_RECORDED

if TYPE_CHECKING:
    import pyarrow

Form = Literal["csv", "parquet"]

# Columns in which `NOT_RECORDED` means no value.
_MAYBE: Final = ("sequence", "published_ns", "received_ns")
_NEEDS_PYARROW: Final = (
    "Parquet files need pyarrow: pip install 'pubsub-perf[parquet]'; or use --csv"
)


def export(results: Results, out: Path, form: Form) -> tuple[Path, ...]:
    """Write cells, runs and events of ``results`` into the folder ``out``, one file each;
    returns their paths. Values without a record are empty (CSV) or null (Parquet).

    Raises:
        ConfigError: pyarrow is missing, or ``out`` cannot be written.
    """
    write = _write_csv if form == "csv" else _parquet_writer()
    tables = {
        "cells": iter([results.cells]),
        "runs": iter([results.runs]),
        # A run at a time, because all events may be too many for the memory.
        "events": _or(results.events_by_run(), NO_EVENTS),
    }
    paths = []
    try:
        make_folder(out)
        for name, parts in tables.items():
            path = out / f"{name}.{form}"
            with atomic_replace(path, follow_link=False) as part:
                write(part, parts)
            paths.append(path)
    except OSError as error:
        raise ConfigError(f"cannot export to {out}: {reason_of(error)}") from error
    return tuple(paths)


def _or(tables: Iterator[Table], other: Table) -> Iterator[Table]:
    """The tables, or ``other`` if there is none."""
    first = next(tables, other)
    yield first
    yield from tables


def _write_csv(path: Path, tables: Iterable[Table]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, table in enumerate(tables):
            if not number:
                writer.writerow(table)
            columns = [_csv_values(name, column) for name, column in table.items()]
            writer.writerows(zip(*columns, strict=True))


def _csv_values(name: str, column: Column) -> list[Any]:
    values: list[Any] = column.tolist()
    if name in _MAYBE:
        return ["" if value == NOT_RECORDED else value for value in values]
    if column.dtype.kind == "f":
        return ["" if value != value else value for value in values]
    if column.dtype.kind == "b":
        return ["true" if value else "false" for value in values]
    return values


def _parquet_writer() -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(_NEEDS_PYARROW) from error

    def write(path: Path, tables: Iterable[Table]) -> None:
        writer = None
        try:
            for table in tables:
                made = _arrow_table(pyarrow, table)
                if writer is None:
                    writer = parquet.ParquetWriter(path, made.schema)
                writer.write_table(made)
        finally:
            if writer is not None:
                writer.close()

    return write


def _arrow_table(pyarrow: Any, table: Table) -> pyarrow.Table:
    arrays = {name: _arrow_array(pyarrow, name, c) for name, c in table.items()}
    return pyarrow.table(arrays)


def _arrow_array(pyarrow: Any, name: str, column: Column) -> pyarrow.Array:
    if column.dtype.kind == "O":
        return pyarrow.array(column, type=pyarrow.string()).dictionary_encode()
    if name in _MAYBE:
        return pyarrow.array(column, mask=column == NOT_RECORDED)
    if column.dtype.kind == "f":
        return pyarrow.array(column, mask=np.isnan(column))
    return pyarrow.array(column)
