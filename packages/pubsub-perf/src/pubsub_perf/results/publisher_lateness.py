"""The lateness of publishers against their schedule, from ``cell.json``."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable

from pubsub_perf.results import cell_fields
from pubsub_perf.results.cells import Cell


@dataclasses.dataclass(frozen=True, slots=True)
class Lateness:
    """Actual minus intended send time of all publishers of a cell, in seconds: median
    over runs of p50 and p99, and the largest of all runs. ``p99_s`` is None if a run has too
    few events."""

    cell: Cell
    p50_s: float
    p99_s: float | None
    max_s: float


def lateness_of(cells: Iterable[Cell]) -> list[Lateness]:
    """The lateness in the cells that recorded it."""
    found = []
    for cell in cells:
        metas = [run.meta for run in cell.pooled] or [cell.meta]
        parts = [
            [cell_fields.number(meta, "lateness_us", name) for meta in metas]
            for name in ("p50", "p99", "max")
        ]
        p50, p99, largest = ([v / 1e6 for v in p if v is not None] for p in parts)
        if p50 and largest:
            middle = statistics.median
            tail = middle(p99) if len(p99) == len(metas) else None
            found.append(Lateness(cell, middle(p50), tail, max(largest)))
    return found
