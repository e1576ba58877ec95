"""Runs cells: every line in turn, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from pubsub_common.errors import PubSubError
from pubsub_perf.bench.checkout import HERE, Checkout
from pubsub_perf.bench.in_turn.bars import Bar, results_of
from pubsub_perf.bench.in_turn.cells import Cell, Line
from pubsub_perf.bench.in_turn.results import Round, rows_of
from pubsub_perf.bench.in_turn.text import line_of, table_of
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.suite import processor
from pubsub_perf.bench.systems import RAW
from pubsub_perf.bench.workload.scenario import Figures
from pubsub_perf.experiment import environment

_NEARLY_ALL: Final = 0.99
Say = Callable[[str], None]


def run_cell(
    cell: Cell,
    lines: Sequence[Line],
    repetitions: int,
    seconds: float,
    say: Say,
    base: Checkout = HERE,
) -> dict[str, list[Round]]:
    """Every line in turn, ``repetitions`` times; each round begins with another line. A run that
    fails has no figures; ``say`` gets the reason. ``base`` has the roles of the lines that are
    ``of_base``."""
    rounds: dict[str, list[Round]] = {line.name: [] for line in lines}
    for number in range(repetitions):
        turn = number % len(lines)
        for line in (*lines[turn:], *lines[:turn]):
            found: Round = None
            try:
                found = run_scenario(
                    line.system,
                    line.scenario(cell),
                    seconds,
                    checkout=base if line.of_base else HERE,
                )
            except PubSubError as error:
                say(f"{cell.name}, {line.name}: {error}")
            else:
                if line.shared_memory and not used_memory(found):
                    say(
                        f"{cell.name}, {line.name}: of {found.sent:,} events only "
                        f"{found.shared:,} went by shared memory"
                    )
            rounds[line.name].append(found)
    return rounds


def used_memory(found: Figures) -> bool:
    """Whether nearly all events went by shared memory, or the system does not say. The last
    ones are gathered when a publisher counts."""
    return found.shared is None or found.shared >= _NEARLY_ALL * found.sent


def run_table(
    chosen: Iterable[tuple[Cell, Sequence[Line]]],
    bars: Sequence[Bar],
    repetitions: int,
    seconds: float,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
    base: Checkout = HERE,
) -> dict[str, Any]:
    """Run cells one after the other, say each result, and return all of them, for a JSON file.
    ``keep`` is given what there is after each cell: a table takes long."""
    document: dict[str, Any] = {
        "format": 2,
        "processor": processor(),
        **environment.describe(),
        "repetitions": repetitions,
        "seconds": seconds,
        "rows": [],
        "bars": [],
    }
    for cell, lines in chosen:
        rounds = run_cell(cell, lines, repetitions, seconds, say, base)
        rows = list(rows_of(cell, rounds, RAW))
        results = list(results_of(bars, cell, rounds))
        for line in (*(table_of(rows) if rows else ()), *map(line_of, results)):
            say(line)
        document["rows"] += map(msgspec.to_builtins, rows)
        document["bars"] += map(msgspec.to_builtins, results)
        keep(document)
    return document
