"""A cell with the statistics of its samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_common.text.counted import counted
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cells import NO_RULE, Cell, SubscriberData
from pubsub_perf.results.summary_statistics import SummaryStatistics


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CellSummary:
    """``ordered``: the samples of all subscribers and all runs in seconds, ascending,
    without the ``warmup`` events that ``warmup_rule`` leaves out. ``files`` are the
    cell's, without these as well. ``notes``: what to know of warm-up and backlog."""

    cell: Cell
    ordered: NDArray[np.float64]
    statistics: SummaryStatistics
    warmup: int = 0
    warmup_rule: str = NO_RULE
    notes: tuple[str, ...] = ()
    files: tuple[SubscriberData, ...] = ()

    @property
    def load(self) -> str:
        """The load as text; empty without a record."""
        parameters = cell_fields.section(self.cell.meta, "parameters")
        events = cell_fields.count(parameters, "events")
        interval = cell_fields.number(parameters, "interval_s")
        payload = cell_fields.count(parameters, "payload_bytes")
        bandwidth = cell_fields.number(parameters, "bandwidth_mbit")
        delay = cell_fields.number(parameters, "delay_ms")
        parts = []
        if events is not None:
            sent = counted(events, "event", grouped=True)
            size = "" if payload is None else f" of {payload:,} B"
            parts.append(f"{sent}{size} per publisher")
        if interval is not None:
            parts.append(f"one every {interval:g} s")
        if bandwidth is not None:
            parts.append(f"{bandwidth:g} Mbit/s")
        if delay is not None:
            parts.append(f"{delay:g} ms delay")
        for name, text in (("jitter_ms", "ms jitter"), ("loss_percent", "% loss")):
            if (value := cell_fields.number(parameters, name)) is not None:
                parts.append(f"{value:g} {text}")
        if (brokers := cell_fields.brokers_of(self.cell.meta)) > 1:
            parts.append(f"{brokers:,} brokers")
        if parameters.get("secure") is True:
            parts.append("secure")
        return ", ".join(parts)


def sample_footnotes(cells: Sequence[CellSummary]) -> Iterator[str]:
    """Notes on the samples of these cells."""
    plain = [summary.cell for summary in cells]
    if any(len(cell.pooled) > 1 and not cell.failed for cell in plain):
        yield "All successful runs of a cell together."
    if any(cell.failed and len(cell.latencies) for cell in plain):
        yield "Of a failed cell, the events that its runs received."
    left_out = sum(summary.warmup for summary in cells)
    if left_out:
        rules = dict.fromkeys(m.warmup_rule for m in cells if m.warmup)
        yield (
            f"{counted(left_out, 'event', grouped=True)} of warm-up "
            f"({'; '.join(rules)}) left out of the percentiles; they are in the files "
            "and in the counts."
        )
