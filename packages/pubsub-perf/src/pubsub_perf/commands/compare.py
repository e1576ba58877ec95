"""``pubsub-perf compare``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_common.cli.standard_streams import OutputFailed
from pubsub_common.errors import ConfigError
from pubsub_common.files import reason_of
from pubsub_common.text.ascii_numbers import real_number
from pubsub_common.text.counted import counted
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.commands.table_options import TABLE_OPTIONS, table_source

if TYPE_CHECKING:
    from rich.console import Console

    from pubsub_perf.analysis.sweep_comparison import Comparison


USAGE: Final = f"""Compare two sweeps (folders or packs): is the second slower than the first,
in all cells together, and in single cells? Shows the ratios second / first of the medians
and of the p99 with intervals over repeated runs, and draws them. Each sweep needs three runs
of a cell. The sweeps may differ in security or in the number of brokers; the output says so.

Examples:
  {PROGRAM} compare sweep-before sweep-after
  {PROGRAM} compare sweep-before sweep-after --margin 10
  {PROGRAM} compare plain secure --out figures

Usage:
  {PROGRAM} compare DIR_A DIR_B [options]

Options:
  --margin P     a cell is slower if its whole interval is above P % [default: 5]
  --out DIR      folder for comparison.png and comparison.svg; default: DIR_B, or the
                 current folder if DIR_B is a pack
{TABLE_OPTIONS}
  --man          show the manual page, for man -l -
  -h, --help     show this text
  -V, --version  show the version

Exit codes: 0 nothing got slower, 1 all cells together or single cells got slower,
2 the sweeps cannot be compared.
"""

_STYLES: Final = {"slower": "red", "faster": "green", "same": "", "undecided": "yellow"}


def run(words: Sequence[str]) -> int:
    """Compare the sweeps that ``words`` name; returns the exit code.

    Raises:
        ConfigError: the sweeps cannot be compared, or the output cannot be written.
    """
    options = parse(USAGE, words)
    margin = _margin(options)
    from pubsub_perf.results.dataset import read_dataset
    from pubsub_perf.results.unpacking import results_folder

    source = table_source(options)
    with (
        results_folder(Path(options["DIR_A"])) as folder_a,
        results_folder(Path(options["DIR_B"])) as folder_b,
    ):
        before = read_dataset(folder_a, "compare", source)
        after = read_dataset(folder_b, "compare", source)
        from rich.console import Console

        from pubsub_perf.analysis.sweep_comparison import (
            compare_sweeps,
        )  # takes seconds

        for problem in (*before.problems, *after.problems):
            console_script.print_message(PROGRAM, problem)
        found = compare_sweeps(before, after, margin=margin)
    for item in found.left_out:
        console_script.print_message(PROGRAM, f"{item.cell} left out: {item.reason}")
    if not found.rows:
        raise ConfigError("the two sweeps have no common cell that can be compared")
    try:
        _print(found, Console())
        sys.stdout.flush()
    except OutputFailed as error:
        # Exit code 1 would say that something got slower.
        raise ConfigError(str(error)) from None
    if not found.decidable:
        console_script.print_message(
            PROGRAM, "undecided: no cell has three runs in both sweeps"
        )
    out = Path(options["--out"]) if options["--out"] else _beside(options["DIR_B"])
    for path in _draw(found, out):
        console_script.print_line(str(path))
    return console_script.EXIT_FAILED if found.got_slower else console_script.EXIT_OK


def _beside(second: str) -> Path:
    """The folder of the second sweep, or the current folder if the sweep is a pack."""
    folder = Path(second)
    return folder if folder.is_dir() else Path()


def _draw(found: Comparison, out: Path) -> tuple[Path, ...]:
    from pubsub_perf.plots.comparison import NAME, comparison_figure
    from pubsub_perf.plots.output import save

    try:
        out.mkdir(parents=True, exist_ok=True)
        return save(comparison_figure(found), out / NAME)
    except OSError as error:
        why = reason_of(error)
        raise ConfigError(f"cannot draw the comparison in {out}: {why}") from error


def _margin(options: console_script.Options) -> float:
    text = str(options["--margin"]).strip().removesuffix("%")
    try:
        margin = real_number(text)
    except ValueError:
        margin = -1.0
    if not 0 <= margin <= 1000:
        raise ConfigError(f"--margin {text}: not a percentage from 0 to 1000")
    return margin / 100


def _print(found: Comparison, console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from pubsub_perf import units
    from pubsub_perf.analysis.sweep_comparison import DISCOVERY, PLAIN
    from pubsub_perf.analysis.values import wording

    table = Table(title="Second sweep over the first", box=box.SIMPLE_HEAD)
    table.add_column("Cell", overflow="fold")
    for name in ("Runs", "p50", "p99", "FDR"):
        table.add_column(name, justify="right")
    table.add_column("Change")
    for row in found.rows:
        table.add_row(
            escape(row.cell),
            f"{row.runs_a}, {row.runs_b}",
            wording.ratio(row.p50),
            wording.ratio(row.p99),
            units.NOT_AVAILABLE if row.q is None else f"{row.q:.2g}",
            _styled(row.change),
        )
    console.print(table)
    if set(found.kinds) != {PLAIN}:
        first, second = found.kinds
        console.print(f"The first sweep is {first}, the second {second}.")
    pooled = found.pooled
    if pooled is None:
        return
    over = counted(pooled.cells, "cell")
    tail = "" if pooled.p99 is None else f", p99 {wording.ratio(pooled.p99)}"
    console.print(
        f"All together, {over}: p50 {wording.ratio(pooled.p50)}{tail}: "
        f"{_styled(pooled.change)}.",
        highlight=False,
    )
    console.print(
        f"Slower and faster: the whole interval differs by more than "
        f"{100 * found.margin:g} %. Intervals of all cells together hold at 95 %; single "
        f"cells are tested at a false discovery rate (FDR) of {100 * DISCOVERY:g} %. Each "
        f"cell's interval is for this cell alone.",
        highlight=False,
    )


def _styled(change: str) -> str:
    style = _STYLES[change]
    return f"[{style}]{change}[/]" if style else change
