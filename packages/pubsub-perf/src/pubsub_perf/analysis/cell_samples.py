"""Turns cells on disk into samples and loads, with the reasons for runs that do not count."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from pubsub_common.text.printable import printable
from pubsub_perf.analysis.queueing.broker_load import BrokerLoad, broker_load
from pubsub_perf.analysis.stats import bootstrap, effect_sizes
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.values.results import CellResult, Estimate, LeftOut, RunResult
from pubsub_perf.analysis.values.samples import (
    CENTRALIZED,
    RunFigures,
    Sample,
    cell_name,
    figures,
    make_sample,
)
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import brokers_of
from pubsub_perf.results.cells import NO_RULE, Cell, Run
from pubsub_perf.results.latency_trend import Backlog, Trend, backlog_of, trend_of
from pubsub_perf.results.warmup import Steady, steady

# Two cells have the same load if these and the network are equal.
_LOAD = (
    ("interval_s", "{} s interval"),
    ("arrivals", "{} arrivals"),
    ("payload_bytes", "{} B"),
    ("topics", "{} topics"),
    ("bandwidth_mbit", "{} Mbit/s"),
    ("delay_ms", "{} ms delay"),
    ("jitter_ms", "{} ms jitter"),
    ("loss_percent", "{} % loss"),
    ("overflow", "queues that {} when full"),
    ("queue_limit", "queues of {} messages"),
    ("queue_bytes", "queues of {} bytes"),
)
# Properties of the system, not of the load: keys and encryption; a group.
_SECURE = "secure"
_BROKERS = "brokers"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CellFacts:
    """A cell for verdicts. Verdicts do not count a cell without a ``sample``."""

    result: CellResult
    sample: Sample | None
    load: BrokerLoad | None

    @property
    def left_out(self) -> LeftOut | None:
        why = self.result.why_not
        return None if why is None else LeftOut(self.result.name, why)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _RunSamples:
    run: Run
    steady: Steady
    trend: Trend | None
    figures: RunFigures | None
    why_not: str | None


def cell_facts(
    cell: Cell, resampling: Resampling, split: Collection[int] = ()
) -> CellFacts:
    """The facts of one cell for an analysis. Runs with a number in ``split`` do not count,
    because another machine measured their other model."""
    runs = [_samples_of(run, split) for run in cell.runs]
    counted = [m for m in runs if m.why_not is None and m.figures is not None]
    why_not = _why_not(cell, runs, counted)
    load = load_of(cell)
    sample = None
    if why_not is None:
        sample = make_sample(
            cell.model,
            cell.network,
            cell.kind,
            cell.hosts,
            load,
            [m.figures for m in counted if m.figures],
            [m.run.number for m in counted],
        )
    shown = counted or [m for m in runs if m.figures is not None]
    return CellFacts(
        _result(cell, runs, shown, why_not, load, resampling),
        sample,
        _broker_load(cell, runs, shown, counted=why_not is None),
    )


def load_of(cell: Cell) -> str:
    """The events and links of a cell as text. Cells with different loads are not
    compared."""
    parameters = cell_fields.section(cell.meta, "parameters")
    values = ((text, parameters.get(name)) for name, text in _LOAD)
    known = [text.format(value) for text, value in values if value is not None]
    if (brokers := brokers_of(cell.meta)) > 1:
        known.append(f"{brokers} {_BROKERS}")
    if is_secure(cell):
        known.append(_SECURE)
    return printable(", ".join(known)) or "unknown load"


def is_secure(cell: Cell) -> bool:
    """Whether the roles had keys."""
    return cell_fields.find(cell.meta, "parameters", "secure") is True


def but_for_the_system(load: str) -> str:
    """The text of a load without keys and with one broker."""
    parts = (part for part in load.split(", ") if part != _SECURE)
    return ", ".join(part for part in parts if not part.endswith(f" {_BROKERS}"))


def _samples_of(run: Run, split: Collection[int]) -> _RunSamples:
    kept = steady(run)
    found = figures(kept.latencies)
    why_not = _run_why_not(run, found)
    if why_not is None and run.number in split:
        why_not = "the other model was measured at another machine"
    return _RunSamples(run, kept, trend_of(run, kept), found, why_not)


def _run_why_not(run: Run, found: RunFigures | None) -> str | None:
    if run.failed:
        return printable(f"failed: {run.reason or 'no reason recorded'}")
    if run.degraded:
        why = f": {run.fidelity_reason}" if run.fidelity_reason else ""
        return printable(f"the machine was {run.fidelity}{why}")
    if found is None:
        return "no latencies"
    if found.p50_s <= 0:
        return "median latency of 0 or less: a clock fault"
    return None


def _why_not(
    cell: Cell, runs: Sequence[_RunSamples], counted: Sequence[_RunSamples]
) -> str | None:
    if cell.model not in MODELS:
        return "neither centralized nor decentralized"
    if 2 * len(counted) > len(runs):
        return None
    reasons = list(dict.fromkeys(m.why_not for m in runs if m.why_not))
    if not counted:
        return "; ".join(reasons) or "no runs"
    # The few good runs of a mostly overloaded machine are a biased choice.
    return f"{len(counted)} of {len(runs)} runs can be counted: {'; '.join(reasons)}"


def _result(
    cell: Cell,
    runs: Sequence[_RunSamples],
    shown: Sequence[_RunSamples],
    why_not: str | None,
    load: str,
    resampling: Resampling,
) -> CellResult:
    name = cell_name(cell.model, cell.network)
    known = [m.figures for m in shown if m.figures]
    backlog = backlog_of([m.trend for m in shown])
    rules = dict.fromkeys(m.steady.rule for m in runs if m.steady.rule != NO_RULE)
    return CellResult(
        name=name,
        model=cell.model,
        network=cell.network,
        kind=cell.kind,
        hosts=cell.hosts,
        publishers=cell.publishers,
        subscribers=cell.subscribers,
        load=load,
        runs=tuple(map(_run_result, runs)),
        p50_s=_median([f.p50_s for f in known], resampling, f"{name}/p50"),
        p99_s=_median([f.p99_s for f in known], resampling, f"{name}/p99"),
        p999_s=_median([f.p999_s for f in known], resampling, f"{name}/p999"),
        expected=cell.expected,
        lost=cell.lost,
        warmup=sum(m.steady.left_out for m in runs),
        warmup_rule="; ".join(rules) or NO_RULE,
        why_not=why_not,
        backlog=backlog,
        notes=tuple(_notes(cell, runs, why_not, backlog)),
    )


def _run_result(measured: _RunSamples) -> RunResult:
    run, found = measured.run, measured.figures
    return RunResult(
        number=run.number,
        count=len(measured.steady.latencies),
        warmup=measured.steady.left_out,
        p50_s=found.p50_s if found else None,
        p99_s=found.p99_s if found else None,
        p999_s=found.p999_s if found else None,
        mean_s=found.mean_s if found else None,
        outcome=run.outcome,
        fidelity=run.fidelity,
        why_not=measured.why_not,
    )


def _median(
    values: Sequence[float | None], resampling: Resampling, key: str
) -> Estimate | None:
    """The centre of the runs' values, on their logarithms where that is possible."""
    known = np.array([value for value in values if value is not None])
    if not len(known) or len(known) < len(values):
        return None
    if known.min() <= 0:
        return Estimate(float(np.median(known)))
    return bootstrap.exponential(
        bootstrap.interval(
            [np.log(known)],
            lambda drawn: effect_sizes.centre(drawn[0]),
            resampling,
            key,
        )
    )


def _notes(
    cell: Cell,
    runs: Sequence[_RunSamples],
    why_not: str | None,
    backlog: Backlog | None,
) -> list[str]:
    notes = [] if backlog is None else [str(backlog)]
    if cell.lost:
        share = f" ({100 * cell.lost / cell.expected:.2g} %)" if cell.expected else ""
        notes.append(f"{cell.lost:,} events lost{share}: latencies are of the others")
    if why_not is None:
        notes += [
            f"run {m.run.number} left out: {m.why_not}" for m in runs if m.why_not
        ]
    notes += dict.fromkeys(m.steady.note for m in runs if m.steady.note)
    return notes


def _broker_load(
    cell: Cell,
    runs: Sequence[_RunSamples],
    shown: Sequence[_RunSamples],
    *,
    counted: bool,
) -> BrokerLoad | None:
    if cell.model != CENTRALIZED or brokers_of(cell.meta) > 1:
        return None
    done = [m for m in runs if not m.run.failed]
    return broker_load(
        cell.network,
        cell.kind,
        cell.hosts,
        [m.run.meta for m in done if m.run.meta is not None],
        [m.figures.mean_s for m in shown if m.figures],
        [m.figures.p50_s for m in shown if m.figures],
        counted=counted,
    )
