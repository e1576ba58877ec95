"""Invented figures of a run, for tests of benchmarks."""

from __future__ import annotations

from typing import Final

from pubsub_perf.bench.workload.scenario import Figures

FIGURES: Final = Figures(
    rate=1000.0,
    sent=100,
    received=100,
    lost=0,
    cpu_s_per_million=2.0,
    p50_us=10.0,
    p99_us=20.0,
)
