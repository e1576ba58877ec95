"""A cell together with what was computed from its samples. Shell (reads files)."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.results import cell_file
from pubsub_perf.results.dataset import Cell
from pubsub_perf.results.latency_file_reader import SubscriberData
from pubsub_perf.results.run import Run
from pubsub_perf.results.summary_statistics import SummaryStatistics, statistics_of
from pubsub_perf.results.warmup import NO_RULE, Steady, steady


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CellSummary:
    """``ordered``: the samples of all subscribers and all runs in seconds, ascending,
    without the ``warmup`` events that ``warmup_rule`` leaves out. ``files`` are the
    cell's, without these as well."""

    cell: Cell
    ordered: NDArray[np.float64]
    statistics: SummaryStatistics
    warmup: int = 0
    warmup_rule: str = NO_RULE
    warmup_notes: tuple[str, ...] = ()
    files: tuple[SubscriberData, ...] = ()

    @property
    def load(self) -> str:
        """What was sent, for people; empty when nobody wrote it down."""
        parameters = cell_file.section(self.cell.meta, "parameters")
        events = cell_file.count(parameters, "events")
        interval = cell_file.number(parameters, "interval_s")
        payload = cell_file.count(parameters, "payload_bytes")
        bandwidth = cell_file.number(parameters, "bandwidth_mbit")
        delay = cell_file.number(parameters, "delay_ms")
        parts = []
        if events is not None:
            sent = units.counted(events, "event", "events")
            size = "" if payload is None else f" of {payload:,} B"
            parts.append(f"{sent}{size} per publisher")
        if interval is not None:
            parts.append(f"one every {interval:g} s")
        if bandwidth is not None:
            parts.append(f"{bandwidth:g} Mbit/s")
        if delay is not None:
            parts.append(f"{delay:g} ms delay")
        if parameters.get("secure") is True:
            parts.append("secure")
        return ", ".join(parts)


def summary_of(cell: Cell) -> CellSummary:
    """Sort and summarise the samples of one cell, all runs together, without warm-up."""
    runs = [steady(run) for run in cell.pooled]
    files = [_without_warmup(r, s) for r, s in zip(cell.pooled, runs, strict=True)]
    latencies = [run.latencies for run in runs] or [cell.latencies]
    ordered = np.sort(np.concatenate(latencies))
    rules = dict.fromkeys(run.rule for run in runs if run.rule != NO_RULE)
    return CellSummary(
        cell,
        ordered,
        statistics_of(ordered, expected=cell.expected, lost=cell.lost),
        warmup=sum(run.left_out for run in runs),
        warmup_rule="; ".join(rules) or NO_RULE,
        warmup_notes=tuple(dict.fromkeys(run.note for run in runs if run.note)),
        files=tuple(itertools.chain(*files)) if runs else cell.files,
    )


def _without_warmup(run: Run, left: Steady) -> Iterator[SubscriberData]:
    if not left.kept:
        yield from run.files
        return
    for file, kept in zip(run.files, left.kept, strict=True):
        yield dataclasses.replace(
            file,
            latencies=file.latencies[kept],
            stream_of=file.stream_of[kept],
            row_of=file.row_of[kept],
        )


def sample_footnotes(cells: Sequence[CellSummary]) -> Iterator[str]:
    """What the samples of these cells are."""
    if any(len(summary.cell.pooled) > 1 for summary in cells):
        yield "All runs of a cell together, without those that failed."
    left_out = sum(summary.warmup for summary in cells)
    if left_out:
        rules = dict.fromkeys(m.warmup_rule for m in cells if m.warmup)
        yield (
            f"{units.counted(left_out, 'event', 'events')} of warm-up "
            f"({'; '.join(rules)}) left out of the percentiles; they are in the files "
            "and in the counts."
        )
