"""Machines as a factor: their differences in cells that several machines measured, and runs
in which different machines measured the two models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from pubsub_common.text.printable import printable
from pubsub_perf.analysis.cell_samples import CellFacts
from pubsub_perf.analysis.values.results import MachineResult
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cells import Cell, Run

# A machine's random id and its name.
Machine = tuple[str, str]
# A network, and the number of a run.
RunOfNetwork = tuple[str, int]


def machine_factors(
    cells: Sequence[Cell], facts: Sequence[CellFacts]
) -> tuple[MachineResult, ...]:
    """Each machine's latency over that of all machines, in the cells that several machines
    measured. Empty with one machine."""
    ratios: dict[Machine, list[float]] = {}
    for cell, fact in zip(cells, facts, strict=True):
        by_machine = _logarithms(cell, fact)
        for machine in by_machine:
            ratios.setdefault(machine, [])
        if len(by_machine) < 2:
            continue
        means = {m: statistics.fmean(values) for m, values in by_machine.items()}
        middle = statistics.fmean(means.values())
        for machine, mean in means.items():
            ratios[machine].append(mean - middle)
    if len(ratios) < 2:
        return ()
    return tuple(
        MachineResult(
            name=printable(name),
            id=printable(identity),
            factor=math.exp(statistics.fmean(shared)) if shared else None,
            cells=len(shared),
        )
        for (identity, name), shared in sorted(ratios.items(), key=_by_name)
    )


def split_pairs(cells: Sequence[Cell]) -> Mapping[RunOfNetwork, str]:
    """The runs in which two machines measured the two models, a sentence each. Verdicts do not
    count them."""
    first: dict[RunOfNetwork, Machine] = {}
    split: dict[RunOfNetwork, str] = {}
    for cell in cells:
        for run in cell.runs:
            machine = _machine(run)
            if machine is None:
                continue
            place = cell.network, run.number
            other = first.setdefault(place, machine)
            if other[0] != machine[0]:
                split[place] = printable(
                    f"{cell.network}, run {run.number}: one model was measured at "
                    f"{other[1]} and the other at {machine[1]}, so their comparison would "
                    "also compare the machines"
                )
    return split


def _logarithms(cell: Cell, fact: CellFacts) -> dict[Machine, list[float]]:
    """The logarithms of the medians of a cell's runs that count, by machine."""
    found: dict[Machine, list[float]] = {}
    for run, result in zip(cell.runs, fact.result.runs, strict=True):
        machine = _machine(run)
        if machine is None or result.why_not is not None or not result.p50_s:
            continue
        found.setdefault(machine, []).append(math.log(result.p50_s))
    return found


def _machine(run: Run) -> Machine | None:
    name = cell_fields.text(run.meta, "machine", "id")
    if name is None:
        return None
    return name, cell_fields.text(run.meta, "machine", "host") or name


def _by_name(item: tuple[Machine, object]) -> tuple[str, str]:
    (identity, name), _ = item
    return name, identity
