"""Tables of an analysis, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from pubsub_common.text.printable import printable
from pubsub_perf import units
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import (
    Analysis,
    CellResult,
    Estimate,
    GrowthResult,
    ShapeFit,
)
from pubsub_perf.units import NOT_AVAILABLE, Unit


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """``number``: its values are to be aligned and sorted as numbers."""

    name: str
    number: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table as text."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def run_table(cells: Sequence[CellResult]) -> Table:
    """Every cell with its percentiles over runs."""
    estimates = [e for cell in cells for e in (cell.p50_s, cell.p99_s, cell.p999_s)]
    unit = units.unit_for(each.value for each in estimates if each is not None)
    columns = (
        Column("Network"),
        Column("Model"),
        Column("Hosts", number=True),
        Column("Runs", number=True),
        Column(f"p50 ({unit.name})", number=True),
        Column(f"p99 ({unit.name})", number=True),
        Column(f"p99.9 ({unit.name})", number=True),
        Column("Not counted"),
    )
    rows = tuple(
        (
            cell.network,
            cell.model,
            _count(cell.hosts),
            str(len(cell.runs)),
            _interval(cell.p50_s, unit),
            _interval(cell.p99_s, unit),
            _interval(cell.p999_s, unit),
            printable(cell.why_not or ""),
        )
        for cell in cells
    )
    note = "Centre of the runs (Hodges-Lehmann) with its 95 % interval; few runs have none."
    return Table("Cells over their runs", columns, rows, (note,))


def pair_table(analysis: Analysis) -> Table:
    """Both models network by network."""
    shifts = [pair.shift_s.value for pair in analysis.pairs]
    unit = units.unit_for(shifts)
    columns = (
        Column("Network"),
        Column("Hosts", number=True),
        Column("Centralized / direct", number=True),
        Column(f"Shift ({unit.name})", number=True),
        Column("p, adjusted", number=True),
        Column("Cliff's \N{GREEK SMALL LETTER DELTA}", number=True),
    )
    rows = tuple(
        (
            pair.network,
            _count(pair.hosts),
            wording.ratio(pair.ratio),
            _interval(pair.shift_s, unit),
            f"{pair.p_adjusted:.2g}",
            f"{pair.cliffs_delta:.2f}",
        )
        for pair in analysis.pairs
    )
    note = "Ratio and shift of the medians of runs (Hodges and Lehmann)."
    return Table(
        "Centralized against direct, network by network", columns, rows, (note,)
    )


def group_table(analysis: Analysis) -> Table:
    """The shares of a group's brokers in its work."""
    columns = (
        Column("Cell"),
        Column("Brokers", number=True),
        Column("Clients of each"),
        Column("Processor of each"),
        Column("Busiest of all", number=True),
        Column("etcd", number=True),
    )
    rows = tuple(
        (
            group.name,
            str(len(group.brokers)),
            " / ".join(_mean(broker.clients) for broker in group.brokers),
            " / ".join(wording.percent(broker.processor) for broker in group.brokers),
            wording.percent(group.busiest_share),
            wording.percent(group.etcd),
        )
        for group in analysis.groups
    )
    note = "The busiest broker of each run first, mean over runs, in per cent of a processor."
    return Table("Groups of brokers", columns, rows, (note,))


def machine_table(analysis: Analysis) -> Table:
    """Machines as a factor; no rows where one machine measured everything."""
    columns = (
        Column("Machine"),
        Column("Id"),
        Column("Latency over all", number=True),
        Column("Cells", number=True),
    )
    rows = tuple(
        (
            machine.name,
            machine.id[:6],
            NOT_AVAILABLE if machine.factor is None else wording.number(machine.factor),
            str(machine.cells),
        )
        for machine in analysis.machines
    )
    note = (
        "Median latency of each machine over that of all machines: the geometric mean over "
        "the cells that several machines measured."
    )
    return Table("Machines", columns, rows, (note,))


def growth_table(analysis: Analysis) -> Table:
    """The growth of latency in each series: factor, exponent and shape."""
    columns = (
        Column("Kind"),
        Column("Model"),
        Column("Hosts"),
        Column("Factor", number=True),
        Column("Each doubling, times", number=True),
        Column("Exponent"),
        Column("Shape"),
        Column("It leaves", number=True),
        Column("Runs explain", number=True),
    )
    rows = tuple(_growth_row(growth) for growth in analysis.growth if growth.shapes)
    notes = tuple(
        f"{growth.model} on {growth.kind}: {growth.note}."
        for growth in analysis.growth
        if growth.note
    )
    return Table("Growth with hosts", columns, rows, notes)


def _growth_row(growth: GrowthResult) -> tuple[str, ...]:
    hosts = [point.hosts for point in growth.points]
    best, rate = growth.shapes[0], growth.rate
    span = f"{min(hosts)} to {max(hosts)}"
    if rate is None:
        return (growth.kind, growth.model, span, *[NOT_AVAILABLE] * 6)
    return (
        growth.kind,
        growth.model,
        span,
        wording.number(rate.factor),
        wording.ratio(rate.per_doubling),
        wording.exponent(rate.exponent),
        wording.shape(growth),
        wording.spread(best.misfit),
        wording.spread(rate.scatter),
    )


def shape_table(analysis: Analysis) -> Table:
    """The shapes that were fitted."""
    columns = (
        Column("Kind"),
        Column("Model"),
        Column("Shape"),
        Column("\N{GREEK CAPITAL LETTER DELTA}AICc", number=True),
        Column("Weight", number=True),
        Column("Leaves", number=True),
        Column("Test of fit"),
    )
    rows = tuple(
        (
            growth.kind,
            growth.model,
            f"{shape.name}: {shape.formula}",
            *_likelihood(shape),
            wording.spread(shape.misfit),
            f"{shape.test}, decided" if shape.name == growth.decided else shape.test,
        )
        for growth in analysis.growth
        for shape in growth.shapes
    )
    note = (
        "Residuals: the standard deviation of cells about the shape, beyond the scatter of "
        "their runs. Unclear: it is more than that scatter; networks that differ, or "
        "another shape."
    )
    return Table("Shapes of growth", columns, rows, (note,))


def _likelihood(shape: ShapeFit) -> tuple[str, str]:
    """AICc compares shapes of which one may be right."""
    if shape.test == "does not fit":
        return NOT_AVAILABLE, NOT_AVAILABLE
    return f"{shape.delta:.1f}", f"{shape.weight:.3f}"


def queue_table(analysis: Analysis) -> Table:
    """The broker's queue at each cell."""
    points = analysis.queueing.points
    values = [p.measured_mean_s for p in points if p.measured_mean_s is not None]
    unit = units.unit_for(values)
    columns = (
        Column("Network"),
        Column("Hosts", number=True),
        Column("Events/s", number=True),
        Column("Processor", number=True),
        Column("Link", number=True),
        Column(f"Measured ({unit.name})", number=True),
        Column(f"Predicted ({unit.name})", number=True),
        Column("Note"),
    )
    rows = tuple(
        (
            point.network,
            _count(point.hosts),
            wording.number(point.events_per_s),
            wording.percent(point.cpu_utilisation),
            wording.percent(point.link_utilisation),
            _latency(point.measured_mean_s, unit),
            _latency(point.predicted_s, unit),
            "; ".join(filter(None, (_CALIBRATED[point.calibrated], point.note))),
        )
        for point in points
    )
    return Table(
        "The broker's queue, cell by cell", columns, rows, ("Mean latencies.",)
    )


_CALIBRATED: Final = {True: "prediction was fixed here", False: ""}


def _count(value: int | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:,}"


def _mean(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else wording.number(value)


def _latency(value_s: float | None, unit: Unit) -> str:
    return NOT_AVAILABLE if value_s is None else unit.show(value_s)


def _interval(estimate: Estimate | None, unit: Unit) -> str:
    if estimate is None:
        return NOT_AVAILABLE
    middle = unit.show(estimate.value)
    if estimate.low is None or estimate.high is None:
        return middle
    return f"{middle} ({unit.show(estimate.low)} to {unit.show(estimate.high)})"
