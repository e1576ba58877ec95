"""``pubsub-perf bench --calls``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_perf.bench import footprint_change
from pubsub_perf.bench.checkout import HERE, checkout_at
from pubsub_perf.bench.in_turn import bars, rounds
from pubsub_perf.bench.in_turn.cells import LINES, with_base
from pubsub_perf.bench.in_turn.results import joined
from pubsub_perf.commands import bench_files

if TYPE_CHECKING:
    from rich.console import Console


def run(
    options: console_script.Options, console: Console, repetitions: int, seconds: float
) -> int:
    """Measure each kind of call; returns the exit code.

    Raises:
        ConfigError: an option is not valid.
        PubSubError: one of the bars that were asked for is missed.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    base = checkout_at(options["--base"]) if options["--base"] else None
    names = options["--bars"].split(",") if options["--bars"] else None
    footprint = names is not None and bars.FOOTPRINT in names
    if footprint and base is None:
        raise ConfigError(f"the bar {bars.FOOTPRINT} needs --base")
    asked = bars.asked(names, bars.BARS)
    lines = list(LINES)
    if base is not None:
        lines = with_base(lines)
        asked += bars.against_base(asked)
    only = options["--only"] or ""
    chosen = bars.needed_cells if names else bars.all_cells
    cells = list(chosen(asked, lines, only))
    if not cells and not footprint:
        raise ConfigError("no cell has this bar and name")
    out = options["--out"]
    if options["--add"] and not out:
        raise ConfigError("--add needs --out")
    before = None
    if options["--add"] and Path(out).exists():
        before = bench_files.read(out, "rows")

    def keep(found: dict[str, Any]) -> None:
        bench_files.write(out, joined(before, found))

    found = rounds.run_table(
        cells,
        asked,
        repetitions,
        seconds,
        say,
        keep,
        HERE if base is None else base,
    )
    if footprint and base is not None:
        found["footprint"] = footprint_change.run(base, repetitions, say)
        keep(found)
    missed = bars.complaint(found)
    if names and missed:
        raise PubSubError(missed)
    return console_script.EXIT_OK
