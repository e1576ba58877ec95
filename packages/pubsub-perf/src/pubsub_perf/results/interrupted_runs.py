"""Leaves out the files of interrupted runs.

The record of a run says "started" before the first file is written. A run without a record is
interrupted if the other runs of its cell have a record, or if folders that only a sweep makes
are beside its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.text.printable import printable
from pubsub_perf.results import cell_fields, cell_file
from pubsub_perf.results.cells import Run

_OF_A_SWEEP: Final = ("logs", "events", "reports")
_LEFT_OUT: Final = "it is left out until it is run again"


def ended(runs: Sequence[Run], root: Path, problems: list[str]) -> Iterator[Run]:
    """The runs of a cell that have ended. The others are named in ``problems``."""
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
