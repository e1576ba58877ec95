"""``pubsub-perf plot``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.commands.table_options import TABLE_OPTIONS, table_source

if TYPE_CHECKING:
    from pubsub_perf.report.figures import FigureWriting

USAGE: Final = f"""Draw the one-way latencies in a folder, and write a report about them:
plots/, report.md and report.html. DIR is the folder of a sweep, a pack, or a folder of CSV
files with a latency column or with the columns publisher, topic, seconds.

Examples:
  {PROGRAM} plot my-sweep
  {PROGRAM} plot my-sweep.zip --out report
  {PROGRAM} plot latencies --out report

Usage:
  {PROGRAM} plot DIR [options]

Options:
  --out DIR      folder for figures and report; default: DIR, or for a pack the folder
                 beside it with its name
{TABLE_OPTIONS}
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""


def run(words: Sequence[str]) -> int:
    """Plot the folder that ``words`` name; returns the exit code.

    Raises:
        ConfigError: there is nothing to plot.
    """
    options = parse(USAGE, words)
    from pubsub_perf.results.dataset import check_folder
    from pubsub_perf.results.unpacking import report_folder, results_folder

    path = Path(options["DIR"])
    out = Path(options["--out"]) if options["--out"] else report_folder(path)
    source = table_source(options)
    with results_folder(path) as folder:
        check_folder(folder, "plot", source)
        from pubsub_perf.report.writer import write_report  # takes seconds

        with _progress() as writing:
            report = write_report(folder, out, source=source, writing=writing)
    for warning in report.warnings:
        console_script.print_message(PROGRAM, warning)
    for path in report.files:
        console_script.print_line(str(path))
    return console_script.EXIT_OK


@contextlib.contextmanager
def _progress() -> Iterator[FigureWriting]:
    """Draw figures with one process for each processor. A terminal shows a progress bar and
    the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from pubsub_perf.report.figures import FigureWriting

    # Standard output is the list of files alone, so that it can be piped.
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("reading", total=None)

        def begin(count: int) -> None:
            # Each scenario has figures of its own.
            known = bar.tasks[0].total or 0
            bar.update(task, description="drawing", total=known + count)

        yield FigureWriting(
            len(os.sched_getaffinity(0)), begin, lambda: bar.advance(task)
        )
