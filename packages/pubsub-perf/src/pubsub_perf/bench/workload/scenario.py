"""What one run of a benchmark measures, and the figures that it gives."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pubsub_perf.bench.workload.job import JobKind, Receiving, Sending

Overflow = Literal["drop", "block"]


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """What a run measures. ``overflow`` and ``forwarders`` are for our broker only; ``secure``
    for ours and the yardstick."""

    kind: JobKind
    payload_bytes: int
    subscribers: int = 1
    brokered: bool = False
    sending: Sending = "event"
    receiving: Receiving = "iterate"
    shared_memory: bool = False
    overflow: Overflow = "drop"
    rate: float = 0.0
    publishers: int = 1
    forwarders: int = 1
    secure: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """A run's outcome. Rates are events per second of one subscriber, from the first
    send to the last receipt; latencies in microseconds, of the slowest subscriber, as the
    program feels them and between the stamps of the system (`JobResult`).
    Processor seconds are per million events published. ``shared`` of the sent events went by
    shared memory, where publishers say that."""

    rate: float
    sent: int
    received: int
    lost: int
    cpu_s_per_million: float
    p50_us: float | None
    p99_us: float | None
    inside_p50_us: float | None = None
    inside_p99_us: float | None = None
    shared: int | None = None
