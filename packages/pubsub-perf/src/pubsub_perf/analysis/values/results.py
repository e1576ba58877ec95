"""Results of an analysis, as values and as JSON.

Latencies are seconds. A cell is named ``<model>/<network>``. Where an `Estimate` has no
``low`` and ``high``, no interval could be given.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, Final

from pubsub_perf.analysis.values.estimate import CurvePoint, Estimate, Verdict
from pubsub_perf.analysis.values.growth import (
    EXPONENTS,
    GrowthPoint,
    GrowthRate,
    GrowthResult,
    HeldOut,
    Parameter,
    ShapeFit,
    ShapeTest,
)
from pubsub_perf.analysis.values.queueing import Extrapolation, QueueingView, QueuePoint
from pubsub_perf.results.latency_trend import Backlog

__all__ = [
    "EXPONENTS",
    "Analysis",
    "BrokerUse",
    "CellResult",
    "CurvePoint",
    "Estimate",
    "Extrapolation",
    "GroupResult",
    "GrowthPoint",
    "GrowthRate",
    "GrowthResult",
    "HeldOut",
    "LeftOut",
    "MachineResult",
    "PairResult",
    "Parameter",
    "Part",
    "PatternResult",
    "QueuePoint",
    "QueueingView",
    "RunResult",
    "ShapeFit",
    "ShapeTest",
    "Verdict",
    "to_json",
]

FORMAT: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class RunResult:
    """One run of a cell. ``why_not``: why verdicts do not count it; None if they do."""

    number: int
    count: int
    warmup: int
    p50_s: float | None
    p99_s: float | None
    p999_s: float | None
    mean_s: float | None
    outcome: str
    fidelity: str | None
    why_not: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class CellResult:
    """One model on one network. Estimates are medians over the counted runs (over all
    runs where none counts). ``why_not``: why no verdict counts this cell. ``backlog``:
    how latency grows during its runs; None in a steady state."""

    name: str
    model: str
    network: str
    kind: str
    hosts: int | None
    publishers: int | None
    subscribers: int
    load: str
    runs: tuple[RunResult, ...]
    p50_s: Estimate | None
    p99_s: Estimate | None
    p999_s: Estimate | None
    expected: int | None
    lost: int | None
    warmup: int
    warmup_rule: str
    why_not: str | None
    notes: tuple[str, ...] = ()
    backlog: Backlog | None = None

    @property
    def counted(self) -> bool:
        return self.why_not is None


@dataclasses.dataclass(frozen=True, slots=True)
class PairResult:
    """Centralized against decentralized on one network. ``ratio`` of the medians
    (Hodges-Lehmann, on logarithms) at a level that holds for all pairs together;
    ``shift_s`` is Hodges and Lehmann's in seconds."""

    network: str
    kind: str
    hosts: int | None
    ratio: Estimate
    shift_s: Estimate
    p_value: float
    p_adjusted: float
    cliffs_delta: float
    tail_ratio: Estimate | None


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """A cell that a verdict does not count, and why."""

    cell: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of a pattern's verdict, for one model or one measure; without
    a ``verdict`` it is for information only."""

    name: str
    verdict: Verdict | None
    effect: str
    estimate: Estimate | None
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PatternResult:
    """One of the seed's five patterns. ``effect`` says what ``estimate`` is."""

    number: int
    claim: str
    verdict: Verdict
    effect: str
    estimate: Estimate | None
    sentence: str
    parts: tuple[Part, ...] = ()
    used: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerUse:
    """One broker of a group, mean over runs: its clients, and the share of a processor that
    it used; None without a measurement."""

    clients: float | None
    processor: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class GroupResult:
    """A cell with several brokers: the busiest first, then the second one, of each run.
    ``etcd``: the share of a processor that it used."""

    name: str
    brokers: tuple[BrokerUse, ...]
    etcd: float | None

    @property
    def busiest_share(self) -> float | None:
        """The busiest broker's share of the processor time of all brokers."""
        used = [broker.processor for broker in self.brokers]
        known = [each for each in used if each is not None]
        if len(known) < len(used) or not sum(known):
            return None
        return max(known) / sum(known)


@dataclasses.dataclass(frozen=True, slots=True)
class MachineResult:
    """One machine as a factor. ``factor``: its median latency over that of all machines, a
    geometric mean over ``cells``, the number of cells that several machines measured; None
    where there is no such cell. ``id`` is the machine's random id."""

    name: str
    id: str
    factor: float | None
    cells: int


@dataclasses.dataclass(frozen=True, slots=True)
class Analysis:
    """All results for one folder."""

    title: str
    seed: int
    resamples: int
    margin: float
    cells: tuple[CellResult, ...]
    pairs: tuple[PairResult, ...]
    patterns: tuple[PatternResult, ...]
    growth: tuple[GrowthResult, ...]
    queueing: QueueingView
    methods: tuple[str, ...]
    problems: tuple[str, ...]
    groups: tuple[GroupResult, ...] = ()
    machines: tuple[MachineResult, ...] = ()


def to_json(analysis: Analysis) -> str:
    """The analysis as JSON text; values that are not numbers become null."""
    content = {"format": FORMAT} | dataclasses.asdict(analysis)
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
