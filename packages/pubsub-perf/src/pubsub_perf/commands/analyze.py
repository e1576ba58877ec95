"""``pubsub-perf analyze``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_common.text.counted import counted
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.commands.table_options import TABLE_OPTIONS, table_source

if TYPE_CHECKING:
    from rich.console import Console

    from pubsub_perf.report.analysis_page import WrittenAnalysis


USAGE: Final = f"""Analyse the latencies in a folder: is direct dissemination faster, which
model has extreme latencies, and how does latency grow with the number of hosts? Compares
the centralized broker with a queueing model, too. Prints verdicts, and writes
analysis.json, analysis.md and analysis.html. Each scenario of an experiment is analysed
by itself.

Examples:
  {PROGRAM} analyze my-sweep
  {PROGRAM} analyze my-sweep --seed 7
  {PROGRAM} analyze my-sweep.zip --out analysis

Usage:
  {PROGRAM} analyze DIR [options]

Options:
  --out DIR      folder for the files; default: DIR, or for a pack the folder beside it
                 with its name
  --seed N       seed of the bootstrap: the same seed gives the same intervals
                 [default: 1]
{TABLE_OPTIONS}
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version
"""

_STYLES: Final = {"supported": "green", "contradicted": "red", "undecided": "yellow"}


def run(words: Sequence[str]) -> int:
    """Analyse the folder that ``words`` name; returns the exit code.

    Raises:
        ConfigError: there is nothing to analyse.
    """
    options = parse(USAGE, words)
    seed = console_script.whole_number(options, "--seed", minimum=0)
    from pubsub_perf.results.dataset import check_folder
    from pubsub_perf.results.unpacking import report_folder, results_folder

    path = Path(options["DIR"])
    out = Path(options["--out"]) if options["--out"] else report_folder(path)
    source = table_source(options)
    with results_folder(path) as folder:
        check_folder(folder, "analyse", source)
        from rich.console import Console

        from pubsub_perf.report.analysis_page import write_analyses  # takes seconds

        analyses = write_analyses(folder, out, seed=seed, source=source)
    console = Console()
    for written in analyses:
        _print(written, console)
        for problem in written.analysis.problems:
            console_script.print_message(PROGRAM, problem)
    for written in analyses:
        for file in written.files:
            console_script.print_line(str(file))
    return console_script.EXIT_OK


def _print(written: WrittenAnalysis, console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from pubsub_perf.report.analysis_page import services

    table = Table(title=escape(written.analysis.title), box=box.SIMPLE_HEAD)
    table.add_column("Pattern", ratio=2)
    table.add_column("Verdict")
    table.add_column("Result", ratio=4)
    for finding in written.findings.patterns:
        style = _STYLES[finding.verdict]
        lines = [finding.sentence, *finding.notes]
        if finding.left_out:
            cells = counted(len(finding.left_out), "cell")
            lines.append(f"{cells} left out, see analysis.md")
        table.add_row(
            escape(f"{finding.number}. {finding.claim}"),
            f"[{style}]{finding.verdict}[/]",
            escape("\n".join(lines)),
        )
    for caution in written.findings.cautions:
        console.print(f"[bold]{escape(caution)}[/]", highlight=False)
    console.print(table)
    for line in (
        *services(written.analysis),
        *written.findings.extrapolations,
        *written.findings.missing,
    ):
        console.print(escape(line), highlight=False)
