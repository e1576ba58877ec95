"""Computes the summary of a cell from its samples, without the warm-up."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import NO_RULE, Cell, Run, SubscriberData
from pubsub_perf.results.latency_trend import backlog_of, trend_of
from pubsub_perf.results.summary_statistics import statistics_of
from pubsub_perf.results.warmup import Steady, steady


def summary_of(cell: Cell) -> CellSummary:
    """Sort and summarise the samples of one cell, all runs together, without warm-up."""
    runs = [steady(run) for run in cell.pooled]
    files = [_without_warmup(r, s) for r, s in zip(cell.pooled, runs, strict=True)]
    latencies = [run.latencies for run in runs] or [cell.latencies]
    ordered = np.sort(np.concatenate(latencies))
    trends = [trend_of(r, s) for r, s in zip(cell.pooled, runs, strict=True)]
    notes = [run.note for run in runs if run.note]
    if (backlog := backlog_of(trends)) is not None:
        notes.append(str(backlog))
    rules = dict.fromkeys(run.rule for run in runs if run.rule != NO_RULE)
    return CellSummary(
        cell,
        ordered,
        statistics_of(ordered, expected=cell.expected, lost=cell.lost),
        warmup=sum(run.left_out for run in runs),
        warmup_rule="; ".join(rules) or NO_RULE,
        notes=tuple(dict.fromkeys(notes)),
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
