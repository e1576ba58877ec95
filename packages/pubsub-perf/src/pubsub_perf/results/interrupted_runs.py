"""Leaves out runs that have not ended: what an interrupted run has left is no data.

A run is marked before its first file: its record says that it was started. Of a run that
never had a record, or lost it, its place tells: the other runs of its cell have one, or
beside its data are folders that only a sweep makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.printable import printable
from pubsub_perf.results import cell_fields, cell_file
from pubsub_perf.results.cells import Run

_OF_A_SWEEP: Final = ("logs", "events", "reports")
_LEFT_OUT: Final = "it is left out until it is run again"


def ended(runs: Sequence[Run], root: Path, problems: list[str]) -> Iterator[Run]:
    """The runs of a cell that are data. For the others a word goes to ``problems``."""
    recorded = any(run.meta is not None for run in runs)
    for run in runs:
        why = _why_not(run, recorded=recorded)
        if why is None:
            yield run
        else:
            name = run.folder.relative_to(root).as_posix()
            problems.append(f"{name}: {why}: {_LEFT_OUT}")


def _why_not(run: Run, *, recorded: bool) -> str | None:
    if run.outcome == cell_fields.STARTED:
        begun = cell_fields.text(run.meta, "started")
        when = f" (at {printable(begun)})" if begun else ""
        return f"the run was started{when} and has not ended"
    if run.meta is not None or (run.folder / cell_file.NAME).exists():
        return None
    if recorded or any((run.folder / name).is_dir() for name in _OF_A_SWEEP):
        return f"the run has no {cell_file.NAME}, as if it was interrupted"
    return None
