"""Shows the progress of a sweep, and its results, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.text.printable import printable
from pubsub_perf.experiment.cell_record import latencies
from pubsub_perf.experiment.sweep import Result, TimeLeft, cell_folder
from pubsub_perf.plan.cases import Case
from pubsub_perf.results import cell_fields
from pubsub_perf.results.overload import overload_advice


class SweepProgress:
    """On a terminal a bar with the time left and the step of the current cell; elsewhere a
    line for each cell, with the time left, for readable logs."""

    def __init__(self, cases: Sequence[Case], console: Console) -> None:
        self._console = console
        self._estimate = TimeLeft(cases)
        self._count = len(cases)
        self._ended = 0
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _TimeLeftColumn(self._estimate),
            # The last column, which a narrow terminal cuts.
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            transient=True,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=len(cases))
        self._name = self._scenario = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()

    def begin(self, case: Case) -> None:
        # On a narrow terminal the end is cut: the network matters more than the scenario.
        self._name = case.name.removeprefix(f"{case.scenario}/")
        self._scenario = f" ({case.scenario})" if case.scenario else ""
        self.step("")

    def step(self, what: str) -> None:
        text = f"{self._name}: {what}" if what else self._name
        self.show(text + self._scenario)

    def show(self, text: str) -> None:
        """Show the current step."""
        self._bar.update(self._task, description=printable(text))

    def end(self, result: Result) -> None:
        self._estimate.end(result)
        self._ended += 1
        self._bar.advance(self._task)
        line = printable(f"{result.case.name}: {_result_text(result)}")
        if not self._console.is_terminal:
            line += f" ({self._ended} of {self._count}{self._left()})"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _left(self) -> str:
        if self._ended == self._count:
            return ""
        return f", about {clock(self._estimate.left_s())} left"


class _TimeLeftColumn(ProgressColumn):
    """The time left, which also falls while a cell runs."""

    def __init__(self, estimate: TimeLeft) -> None:
        super().__init__()
        self._estimate = estimate

    def render(self, task: Task) -> Text:
        left_s = 0.0 if task.finished else self._estimate.left_s()
        return Text(f"about {clock(left_s)} left")


def print_table(console: Console, results: Sequence[Result], out: Path) -> None:
    """Print the table at the end of a sweep, one for each scenario, with latencies without the
    warm-up; and advice if the machine could not keep up."""
    for scenario in dict.fromkeys(result.case.scenario for result in results):
        if scenario:
            console.print(printable(scenario), highlight=False, markup=False)
        own = [result for result in results if result.case.scenario == scenario]
        console.print(_table(own, out))
    for sentence in overload_advice([result.record for result in results]):
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _table(results: Sequence[Result], out: Path) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("model", "network"):
        table.add_column(heading, no_wrap=True)
    for heading in ("received", "lost", "p50", "p99", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    failures = any(result.failed for result in results)
    if failures:
        table.add_column("")
    for result in results:
        record = result.record
        summary = latencies(result.case, cell_folder(out, result.case)).summary_ns()
        table.add_row(
            result.case.model,
            result.case.network.name,
            _number(record, "received"),
            _number(record, "lost"),
            *(
                format_ns(summary[key]) if key in summary else ""
                for key in ("p50", "p99", "max")
            ),
            *(["failed" if result.failed else ""] if failures else []),
        )
    return table


def _result_text(result: Result) -> str:
    record = result.record
    if result.failed:
        return f"failed: {record.get('reason')}"
    received, expected = _number(record, "received"), _number(record, "expected")
    words = [f"{received} of {expected} events"]
    if cell_fields.count(record, "lost"):
        words.append(f"{_number(record, 'lost')} lost")
    words.append("done before" if result.skipped else f"{record['duration_s']:.1f} s")
    return ", ".join(words)


def _number(record: Mapping[str, object], name: str) -> str:
    """A number of a record, which may be from an earlier sweep or from another user."""
    found = cell_fields.count(record, name)
    return "" if found is None else str(found)


def clock(seconds: float) -> str:
    """``2:05``, or ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
