"""Ours against other systems, in turn within one run."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from peer_systems.registry import PEER_SYSTEMS, load
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.suite import processor
from pubsub_perf.bench.systems import OURS, RAW
from pubsub_perf.bench.workload.scenario import Figures, Scenario
from pubsub_perf.experiment import environment

if TYPE_CHECKING:
    from rich.console import Console

BATCHED: Final = "pubsub, batches"
SIZES: Final = (16, 256, 1024, 65_536)
SUBSCRIBERS: Final = (1, 4)
RATE_PER_S: Final = 1000.0
# Repetitions of a cell differ by up to 60 % on shared machines; a smaller lead does not count.
LEAD: Final = 1.3
# From here on batches of 64 KiB would hold only a few events.
_BATCH_BELOW: Final = 16_384

Standing = Literal["ahead", "tie", "behind"]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One cell: the median of every system, its smallest and largest repetition (``ranges``)
    and how far these are apart against the median (``spreads``), and where ours (the better
    mode of it) stands against the best peer: ``lead`` is above 1 where ours is better."""

    measure: str
    brokered: bool
    payload_bytes: int
    subscribers: int
    metric: str
    values: dict[str, float]
    spreads: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    lost: dict[str, int]
    best_peer: str | None
    lead: float | None
    standing: Standing | None


def scenarios() -> Iterator[Scenario]:
    """Every cell of the table."""
    for brokered in (False, True):
        for subscribers in SUBSCRIBERS:
            for size in SIZES:
                yield Scenario("throughput", size, subscribers, brokered=brokered)
                yield Scenario(
                    "latency", size, subscribers, brokered=brokered, rate=RATE_PER_S
                )


def run(console: Console, repetitions: int, seconds: float) -> dict[str, Any]:
    """Run every cell on every system that is there, and say how it went.

    Raises:
        PubSubError: a run failed.
    """
    missing = {
        name: reasons
        for name in PEER_SYSTEMS
        if (reasons := _reasons(name)) and len(reasons) == 2  # neither route
    }
    for name, reasons in missing.items():
        console.print(f"{name}: left out: {reasons[0]}", highlight=False)
    rows: list[Row] = []
    for scenario in scenarios():
        for row in run_rows(scenario, repetitions, seconds):
            rows.append(row)
            console.print(line_of(row), highlight=False, soft_wrap=True)
    return {
        "format": 1,
        "processor": processor(),
        **environment.describe(),
        "peers": {
            name: PEER_SYSTEMS[name].version()
            for name in PEER_SYSTEMS
            if name not in missing
        },
        "missing": {name: reasons[0] for name, reasons in missing.items()},
        "repetitions": repetitions,
        "seconds": seconds,
        "rows": [msgspec.to_builtins(row) for row in rows],
    }


def _reasons(name: str) -> list[str]:
    system = load(name)
    found = (system.unavailable(brokered=brokered) for brokered in (True, False))
    return [reason for reason in found if reason is not None]


def run_rows(scenario: Scenario, repetitions: int, seconds: float) -> list[Row]:
    """Run one cell, all systems in turn; a row for each metric."""
    variants: dict[str, tuple[str, Scenario]] = {OURS: (OURS, scenario)}
    if scenario.kind == "throughput" and scenario.payload_bytes < _BATCH_BELOW:
        variants[BATCHED] = (
            OURS,
            dataclasses.replace(scenario, sending="list", receiving="batches"),
        )
    variants[RAW] = (RAW, scenario)
    for name in PEER_SYSTEMS:
        if load(name).unavailable(brokered=scenario.brokered) is None:
            variants[name] = (PEER_SYSTEMS[name].module, scenario)
    figures: dict[str, list[Figures]] = {name: [] for name in variants}
    order = list(variants)
    for repetition in range(repetitions):
        turn = repetition % len(order)
        for name in order[turn:] + order[:turn]:
            system, own = variants[name]
            figures[name].append(run_scenario(system, own, seconds))
    metrics = ("rate",) if scenario.kind == "throughput" else ("p50_us", "p99_us")
    return [row_of(scenario, metric, figures) for metric in metrics]


def row_of(
    scenario: Scenario, metric: str, figures: Mapping[str, Sequence[Figures]]
) -> Row:
    """A row from all repetitions."""
    values, spreads, ranges = {}, {}, {}
    for name, runs in figures.items():
        found = [float(getattr(run, metric)) for run in runs]
        values[name] = statistics.median(found)
        spreads[name] = round((max(found) - min(found)) / values[name], 3)
        ranges[name] = (min(found), max(found))
    more = metric == "rate"
    best = max if more else min
    ours = best(values[name] for name in (OURS, BATCHED) if name in values)
    others = {name: values[name] for name in values if name in PEER_SYSTEMS}
    peer = best(others, key=others.__getitem__) if others else None
    lead = None
    if peer is not None:
        lead = ours / others[peer] if more else others[peer] / ours
    return Row(
        measure=scenario.kind,
        brokered=scenario.brokered,
        payload_bytes=scenario.payload_bytes,
        subscribers=scenario.subscribers,
        metric=metric,
        values={name: round(value, 1) for name, value in values.items()},
        spreads=spreads,
        ranges=ranges,
        lost={name: sum(run.lost for run in runs) for name, runs in figures.items()},
        best_peer=peer,
        lead=None if lead is None else round(lead, 2),
        standing=None if lead is None else standing(lead),
    )


def standing(lead: float) -> Standing:
    """What a lead says on a noisy machine."""
    if lead >= LEAD:
        return "ahead"
    return "behind" if lead <= 1 / LEAD else "tie"


def line_of(row: Row) -> str:
    """One line for people."""
    route = "brokered" if row.brokered else "direct"
    digits = 0 if row.metric == "rate" else 1
    unit = {"rate": "events/s", "p50_us": "us p50", "p99_us": "us p99"}[row.metric]
    values = ", ".join(
        f"{name} {value:,.{digits}f}" for name, value in row.values.items()
    )
    verdict = (
        f"{row.standing} ({row.lead:.2f} x {row.best_peer})" if row.lead else "no peer"
    )
    return (
        f"{route}, {row.payload_bytes} B, {row.subscribers} subscribers, {unit}: "
        f"{verdict}: {values}"
    )
