"""The tables and texts of a report, before they are laid out."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_perf import units
from pubsub_perf.analysis.values import wording
from pubsub_perf.results import cell_fields, summary_statistics
from pubsub_perf.results.cell_summary import CellSummary, sample_footnotes
from pubsub_perf.results.cells import UNKNOWN, Cell
from pubsub_perf.results.overload import overload_advice
from pubsub_perf.units import NOT_AVAILABLE, Unit

# A fact with more different values is not listed in full.
_MAX_VALUES: Final = 6
# Addresses, which are in the command lines, too.
_ROLES: Final = ("broker", "publishers", "subscribers")
_NOTHING: Final = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class ResultRow:
    """One cell in the table of results, as text."""

    network: str
    model: str
    hosts: str
    roles: str
    expected: str
    received: str
    used: str
    lost: str
    p50: str
    p90: str
    p99: str
    p999: str
    max: str
    outcome: str
    pressure: str
    lossy: bool
    failed: bool
    degraded: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """A fact about the runs, with its value or values over all cells."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class CellCommandLines:
    """The command lines of one cell: (role, command line)."""

    cell: str
    lines: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ReportContent:
    """All texts and tables of a report, without the figures. ``advice`` is for a machine
    that could not keep up."""

    summary: tuple[str, ...]
    unit: Unit
    rows: tuple[ResultRow, ...]
    footnotes: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    degraded: tuple[tuple[str, str], ...]
    advice: tuple[str, ...]
    facts: tuple[Fact, ...]
    command_lines: tuple[CellCommandLines, ...]
    problems: tuple[str, ...]


def compose(cells: Sequence[CellSummary], problems: Sequence[str]) -> ReportContent:
    """The report about these cells."""
    shown = (m.statistics for m in cells)
    values = [v for s in shown for v in (s.p50_s, s.p90_s, s.p99_s, s.p999_s, s.max_s)]
    unit = units.unit_for(value for value in values if value is not None)
    plain = [m.cell for m in cells]
    return ReportContent(
        summary=tuple(_summary(cells)),
        unit=unit,
        rows=tuple(_row(m, unit) for m in cells),
        footnotes=tuple(_footnotes(cells)),
        failures=tuple(
            (_name(c), c.reason or "no reason recorded") for c in plain if c.failed
        ),
        degraded=tuple(
            (_name(c), ": ".join(filter(None, (c.fidelity, c.fidelity_reason))))
            for c in plain
            if c.degraded
        ),
        advice=overload_advice([run.meta for cell in plain for run in cell.runs]),
        facts=tuple(_facts(plain)),
        command_lines=tuple(filter(None, map(_command_lines, plain))),
        problems=(
            *problems,
            *(f"{_name(m.cell)}: {note}" for m in cells for note in m.notes),
        ),
    )


def _name(cell: Cell) -> str:
    return f"{cell.model} on {cell.network}"


def _summary(cells: Sequence[CellSummary]) -> Iterator[str]:
    plain = [m.cell for m in cells]
    finished = [c for c in plain if not c.failed]
    networks = len({c.network for c in plain})
    yield (
        f"{counted(len(plain), 'cell')} on "
        f"{counted(networks, 'network')}, {_outcomes(plain)}."
    )
    samples = sum(m.statistics.count for m in cells)
    known = [c for c in finished if c.lost is not None and c.expected is not None]
    lost = sum(c.lost or 0 for c in known)
    expected = sum(c.expected or 0 for c in known)
    text = counted(samples, "latency sample", grouped=True)
    if finished:  # Failed cells have no loss.
        text += f"; {units.loss(lost, expected)}" if known else "; loss not counted"
    if known and len(finished) < len(plain):
        text += " in the cells that did not fail"
    if known and len(known) < len(finished):
        missing = counted(len(finished) - len(known), "cell")
        text += f", and not counted in {missing}"
    yield f"{text}."
    degraded = sum(c.degraded for c in plain)
    if degraded:
        which = counted(degraded, "cell")
        yield f"In {which} the machine was strained or saturated."


def _outcomes(cells: Sequence[Cell]) -> str:
    """The number of failed cells among those with a recorded outcome."""
    known = [cell for cell in cells if cell.outcome != UNKNOWN]
    failed = sum(cell.failed for cell in known)
    runs = sum(run.failed for cell in known if not cell.failed for run in cell.runs)
    if not known:
        return "with unknown outcome"
    of = (
        f" of the {len(known):,} with a recorded outcome"
        if len(known) < len(cells)
        else ""
    )
    text = f"{failed:,}{of} failed" if failed else f"none{of} failed"
    if runs:
        text += f", but {counted(runs, 'run')} of them did"
    return text


def _row(summary: CellSummary, unit: Unit) -> ResultRow:
    cell, statistics = summary.cell, summary.statistics
    pressure = cell_fields.number(cell.meta, "cpu_pressure", "some_percent")
    outcome = cell.outcome
    if cell.fidelity and cell.fidelity != "ok":
        mark = "\N{WARNING SIGN} " if cell.degraded else ""
        outcome += f", {mark}{cell.fidelity}"
    return ResultRow(
        network=cell.network,
        model=cell.model,
        hosts=_number(cell.hosts),
        roles=f"{_number(cell.publishers)} / {cell.subscribers}",
        expected=_number(cell.expected),
        received=f"{cell.received:,}",
        used=f"{statistics.count:,}",
        lost=_number(cell.lost),
        p50=_latency(statistics.p50_s, unit),
        p90=_latency(statistics.p90_s, unit),
        p99=_latency(statistics.p99_s, unit),
        p999=_latency(statistics.p999_s, unit),
        max=_latency(statistics.max_s, unit),
        outcome=outcome,
        pressure=NOT_AVAILABLE if pressure is None else f"{pressure:.1f} %",
        lossy=bool(cell.lost),
        failed=cell.failed,
        degraded=cell.degraded,
    )


def _number(value: int | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:,}"


def _latency(value_s: float | None, unit: Unit) -> str:
    return NOT_AVAILABLE if value_s is None else unit.show(value_s)


def _footnotes(cells: Sequence[CellSummary]) -> Iterator[str]:
    yield (
        f"Percentiles by {summary_statistics.METHOD}: each is a latency that was measured. "
        "The samples of all subscribers of a cell together; nothing is trimmed."
    )
    yield from sample_footnotes(cells)
    yield from summary_statistics.footnotes(m.statistics for m in cells)
    if any(m.cell.lost is None for m in cells):
        yield "Lost is n/a without the number of expected events in cell.json."
    files = [file for m in cells for file in m.cell.files]
    unusable = sum(file.rows - len(file.latencies) for file in files)
    if unusable:
        events = counted(unusable, "event", grouped=True)
        yield f"Received without a latency that is a number: {events}, in no percentile."
    not_positive = sum(m.statistics.not_positive for m in cells)
    if not_positive:
        values = counted(not_positive, "latency", "latencies", grouped=True)
        yield (
            f"{values} of 0 or less, which only a clock fault can cause, "
            "counted like any other."
        )
    judged = [m.cell.fidelity is not None for m in cells if not m.cell.failed]
    if not all(judged):
        yield wording.unjudged(judged.count(False), len(judged))
    if any("cpu_pressure" in (m.cell.meta or {}) for m in cells):
        yield (
            "CPU pressure: the share of time in which a process that could run had to "
            "wait for a CPU."
        )


def _facts(cells: Sequence[Cell]) -> Iterator[Fact]:
    metas = [cell.meta for cell in cells]
    every = [run.meta for cell in cells for run in cell.runs] or metas
    known = [meta for meta in metas if meta is not None]
    paths: dict[tuple[str, ...], None] = {("kernel",): None}
    for group in ("versions", "commits", "machine", "parameters", "hosts"):
        sections = [cell_fields.section(meta, group) for meta in known]
        names = sorted({n for part in sections for n in part if n not in _ROLES})
        paths |= dict.fromkeys((group, name) for name in names)
    for path in paths:
        values = Counter(_text(cell_fields.find(meta, *path)) for meta in known)
        if set(values) - {_NOTHING}:
            name = ": ".join(path).replace("versions: ", "")
            yield Fact(printable(name), _spread(values))
    started = sorted(
        filter(None, (cell_fields.text(meta, "started") for meta in known))
    )
    if started:
        span = started[:1] if started[0] == started[-1] else [started[0], started[-1]]
        yield Fact("started", printable(" to ".join(span)))
    durations = [cell_fields.number(meta, "duration_s") for meta in every]
    total_s = sum(value for value in durations if value is not None)
    if total_s:
        yield Fact("duration of all cells", f"{total_s:,.1f} s")


def _text(value: object) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**30:
        return f"{value:,} ({value / 2**30:.1f} Gi)"
    return printable(str(value))


def _spread(values: Counter[str]) -> str:
    if len(values) == 1:
        return next(iter(values))
    shown = values.most_common(_MAX_VALUES)
    parts = [f"{value} ({counted(n, 'cell')})" for value, n in shown]
    if len(values) > len(shown):
        parts.append(f"{len(values) - len(shown)} more")
    return "; ".join(parts)


def _command_lines(cell: Cell) -> CellCommandLines | None:
    lines = []
    for role, variables in cell_fields.section(cell.meta, "commands").items():
        if isinstance(variables, list):
            lines.append((printable(role), printable(shlex.join(map(str, variables)))))
        elif isinstance(variables, str):
            lines.append((printable(role), printable(variables)))
    return CellCommandLines(_name(cell), tuple(lines)) if lines else None
