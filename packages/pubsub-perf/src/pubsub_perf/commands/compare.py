"""``pubsub-perf compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common.ascii_numbers import real_number
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError
from pubsub_perf import __version__
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.commands.table_options import TABLE_OPTIONS, table_source

if TYPE_CHECKING:
    from rich.console import Console

    from pubsub_perf.analysis.sweep_comparison import Comparison


USAGE: Final = f"""Compare two sweeps, folders or packs, cell by cell: is the second slower than the
first? Shows the ratio of the medians and of the p99, second over first, with intervals over
repeated runs that hold for all cells together. Needs three runs of a cell in each. One may
be secure and the other not, or one have several brokers; it says so then.

Usage:
  {PROGRAM} compare DIR_A DIR_B [options]

Options:
  --margin P     a cell is slower when its whole interval lies above 1 + P %
                 [default: 5]
  --seed N       seed of the bootstrap [default: 1]
{TABLE_OPTIONS}
  -h, --help     show this text
  --version      show the version

Exit codes: 0 nothing got slower, 1 a cell got slower, 2 they cannot be compared.
"""

_STYLES: Final = {"slower": "red", "faster": "green", "same": "", "undecided": "yellow"}


def run(words: Sequence[str]) -> int:
    """Compare as ``words`` ask; the exit code.

    Raises:
        ConfigError: there is nothing that can be compared.
    """
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    margin = _margin(options)
    seed = console_script.whole_number(options, "--seed", minimum=0)
    from rich.console import Console

    from pubsub_perf.analysis.sweep_comparison import compare_sweeps
    from pubsub_perf.results.dataset import read_dataset
    from pubsub_perf.results.unpacking import results_folder

    source = table_source(options)
    with (
        results_folder(Path(options["DIR_A"])) as folder_a,
        results_folder(Path(options["DIR_B"])) as folder_b,
    ):
        before = read_dataset(folder_a, "compare", source)
        after = read_dataset(folder_b, "compare", source)
        for problem in (*before.problems, *after.problems):
            console_script.print_message(PROGRAM, problem)
        found = compare_sweeps(before, after, margin=margin, seed=seed)
    for item in found.left_out:
        console_script.print_message(PROGRAM, f"{item.cell} left out: {item.reason}")
    if not found.rows:
        raise ConfigError("the two sweeps have no cell in common that can be compared")
    _print(found, Console())
    if not found.decidable:
        console_script.print_message(
            PROGRAM, "no cell has three runs in both sweeps, so nothing is decided"
        )
    return console_script.EXIT_FAILED if found.slower else console_script.EXIT_OK


def _margin(options: console_script.Options) -> float:
    text = str(options["--margin"]).strip().removesuffix("%")
    try:
        margin = real_number(text)
    except ValueError:
        margin = -1.0
    if not 0 <= margin <= 1000:
        raise ConfigError(f"--margin must be per cent of 0 or more: {text}")
    return margin / 100


def _print(found: Comparison, console: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from pubsub_perf.analysis.sweep_comparison import PLAIN
    from pubsub_perf.analysis.values import wording

    table = Table(title="Second sweep over the first", box=box.SIMPLE_HEAD)
    table.add_column("Cell", overflow="fold")
    for name in ("Runs", "p50", "p99"):
        table.add_column(name, justify="right")
    table.add_column("Change")
    for row in found.rows:
        style = _STYLES[row.change]
        table.add_row(
            escape(row.cell),
            f"{row.runs_a}, {row.runs_b}",
            wording.ratio(row.p50),
            wording.ratio(row.p99),
            f"[{style}]{row.change}[/]" if style else row.change,
        )
    console.print(table)
    if set(found.kinds) != {PLAIN}:
        first, second = found.kinds
        console.print(f"The first sweep is {first}, the second {second}.")
    if not found.decidable:
        return
    console.print(
        f"Intervals hold for all {found.tests} together at 95 %; slower or faster is "
        f"what differs by more than {100 * found.margin:g} % for certain.",
        highlight=False,
    )
