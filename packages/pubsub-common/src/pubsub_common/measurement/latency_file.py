"""Writes the latency file of a subscriber, which the analysis reads.

CSV: a header, then one row per received event in order of receipt::

    publisher,topic,latency_seconds
    10.0.0.2:5556,A,0.000514312
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from pubsub_common.files import atomic_replace

HEADER: Final = ("publisher", "topic", "latency_seconds")


def write_latencies(
    path: Path, rows: Iterable[tuple[str, str, int]], *, safe: bool = False
) -> None:
    """Write (publisher, topic, latency in ns) rows, completely or not at all; ``safe``: as
    cells that no spreadsheet runs.

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    with (
        atomic_replace(path) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        if safe:
            from pubsub_common.measurement.safe_csv import safe_cell

            rows = ((safe_cell(name), safe_cell(topic), ns) for name, topic, ns in rows)
        _write_rows(file, rows)


def _write_rows(file: TextIO, rows: Iterable[tuple[str, str, int]]) -> None:
    import csv  # not before: idle roles are to stay small

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(
        (publisher, topic, f"{latency_ns / 1e9:.9f}")
        for publisher, topic, latency_ns in rows
    )
