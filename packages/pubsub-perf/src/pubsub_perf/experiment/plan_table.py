"""Shows the cells of an experiment and their duration on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_perf.experiment.progress import clock
from pubsub_perf.experiment.sweep import TimeLeft, cell_folder, finished
from pubsub_perf.plan.cases import Case
from pubsub_perf.plan.experiment import Experiment


def print_plan(console: Console, experiment: Experiment, out: Path) -> None:
    """Print the cells, a table for each scenario, and the duration of the runs that are not
    in ``out``."""
    if experiment.title:
        console.print(printable(experiment.title), highlight=False, markup=False)
    cases = experiment.cases
    waiting = [case for case in cases if finished(cell_folder(out, case), out) is None]
    runs = _cells(cases)
    still = _cells(waiting)
    for scenario in dict.fromkeys(case.scenario for case in cases):
        if scenario:
            console.print(printable(scenario), highlight=False, markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for heading in ("model", "network"):
            table.add_column(heading, no_wrap=True)
        for heading in ("hosts", "runs", "done"):
            table.add_column(heading, justify="right", no_wrap=True)
        for case in runs:
            if case.scenario == scenario:
                table.add_row(
                    case.model,
                    case.network.name,
                    str(len(case.network.hosts)),
                    str(runs[case]),
                    str(runs[case] - still[case]),
                )
        console.print(table)
    cells = counted(len(runs), "cell")
    total = counted(len(cases), "run")
    done = len(cases) - len(waiting)
    left = clock(TimeLeft(waiting).left_s())
    console.print(
        f"{cells}, {total}, {done:,} done before; about {left} left", highlight=False
    )


def _cells(cases: Iterable[Case]) -> Counter[Case]:
    """The number of runs of each cell."""
    return Counter(replace(case, run=1) for case in cases)
