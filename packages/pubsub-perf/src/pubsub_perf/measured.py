"""A cell together with what was computed from its samples. Core."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pubsub_perf import cellfile, units
from pubsub_perf.dataset import Cell
from pubsub_perf.statistics import Summary, summarise


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """``ordered``: the samples of all subscribers in seconds, ascending."""

    cell: Cell
    ordered: NDArray[np.float64]
    summary: Summary

    @property
    def load(self) -> str:
        """What was sent, for people; empty when nobody wrote it down."""
        parameters = cellfile.section(self.cell.meta, "parameters")
        events = cellfile.count(parameters, "events")
        interval = cellfile.number(parameters, "interval_s")
        payload = cellfile.count(parameters, "payload_bytes")
        bandwidth = cellfile.number(parameters, "bandwidth_mbit")
        delay = cellfile.number(parameters, "delay_ms")
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
        return ", ".join(parts)


def measure(cell: Cell) -> Measured:
    """Sort and summarise the samples of one cell."""
    ordered = np.sort(cell.latencies)
    summary = summarise(ordered, expected=cell.expected, lost=cell.lost)
    return Measured(cell, ordered, summary)
