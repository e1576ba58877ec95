"""Runs a sweep: its cells one after the other, resumable."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment.cell_runner import RECORD, read_record, run_cell
from pubsub_perf.experiment.role_keys import RoleKeys, keys_for
from pubsub_perf.folder_files import make_folder
from pubsub_perf.hosts.factory import HostKind, open_hosts
from pubsub_perf.plan.cases import Case
from pubsub_perf.results import cell_fields

DATA: Final = "data"


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One cell's record, and whether an earlier run left it."""

    case: Case
    record: dict[str, Any]
    skipped: bool

    @property
    def failed(self) -> bool:
        return self.record.get("outcome") != "ok"


class Progress(Protocol):
    """Who is told how the sweep goes."""

    def begin(self, case: Case) -> None:
        """A cell begins."""

    def step(self, what: str) -> None:
        """The cell does something else now."""

    def end(self, result: Result) -> None:
        """A cell has ended."""


def cell_folder(out: Path, case: Case) -> Path:
    """Where a cell's files are (contract), and below it those of its further runs. There is
    a folder for a scenario only where an experiment has several."""
    folder = out / DATA / case.scenario / case.model / case.network.name
    return folder if case.run == 1 else folder / f"run-{case.run}"


def run_sweep(
    cases: Sequence[Case],
    kind: HostKind,
    out: Path,
    progress: Progress,
    *,
    force: bool = False,
) -> list[Result]:
    """Run the cases that have not been run; a failing one is recorded, and the sweep
    goes on.

    Raises:
        ConfigError: ``out`` holds a finished cell of other parameters, or cannot be
            written.
    """
    there = {} if force else finished_cells(cases, out, kind)
    results = []
    with keys_for(case for case in cases if case not in there) as keys:
        for case in cases:
            progress.begin(case)
            record = there.get(case)
            result = (
                _run_one(case, kind, out, progress, keys)
                if record is None
                else Result(case, record, skipped=True)
            )
            results.append(result)
            progress.end(result)
    return results


def _run_one(
    case: Case, kind: HostKind, out: Path, progress: Progress, keys: RoleKeys | None
) -> Result:
    folder = cell_folder(out, case)
    try:
        make_folder(out, *folder.relative_to(out).parts)
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror or error}"
        ) from error
    hosts = open_hosts(kind, case.network, case.load)
    try:
        record = run_cell(case, hosts, folder, progress.step, keys)
    except OSError as error:
        raise ConfigError(
            f"{case.name}: cannot write {folder / RECORD}: {error.strerror or error}"
        ) from error
    return Result(case, record, skipped=False)


def finished(folder: Path, out: Path) -> dict[str, Any] | None:
    """The record of a cell of the sweep in ``out`` that has been run well; None when it has
    not."""
    record = read_record(folder, out)
    return record if record is not None and record.get("outcome") == "ok" else None


def finished_cells(
    cases: Sequence[Case], out: Path, kind: HostKind | None
) -> dict[Case, dict[str, Any]]:
    """The records of those of the cases that have been run well. Cells of one sweep are compared
    with each other, so they must be alike. ``kind`` is None as long as it is not known.

    Raises:
        ConfigError: ``out`` holds a finished one of these cells, of other parameters.
    """
    found = {}
    for case in cases:
        record = finished(cell_folder(out, case), out)
        if record is not None:
            _check_parameters(out, case, kind, record)
            found[case] = record
    return found


def _check_parameters(
    out: Path, case: Case, kind: HostKind | None, record: dict[str, Any]
) -> None:
    asked = case.parameters() | ({"hosts": kind} if kind else {})
    there = {
        **cell_fields.section(record, "parameters"),
        "hosts": cell_fields.find(record, "hosts", "kind"),
    }
    # The wait factor bounds a run and does not change it.
    different = [
        f"{key} {there.get(key)} there, {value} asked"
        for key, value in asked.items()
        if key != "wait_factor" and there.get(key) != value
    ]
    if different:
        raise ConfigError(
            f"{cell_folder(out, case) / RECORD} is a finished cell of another sweep "
            f"({', '.join(different)}): choose another --out, or --force to replace it"
        )


class TimeLeft:
    """How long the rest of a sweep that begins now will take, from the cells so far; one after
    the other, or on several machines at once.

    A cell's time is modelled as a constant for the run itself plus a share for each host.
    How fast a sweep goes through such times is read off the cells that have ended.
    """

    def __init__(self, cases: Sequence[Case], guess_per_host_s: float = 0.15) -> None:
        self._waiting = list(cases)
        self._guess_per_host_s = guess_per_host_s
        self._guessed_s = 0.0
        self._took_s = 0.0
        self._looked = time.monotonic()

    def end(self, result: Result) -> None:
        """A case has ended now."""
        self._waiting.remove(result.case)
        now = time.monotonic()
        if not result.skipped:
            self._guessed_s += self._guess_s(result.case)
            self._took_s += now - self._looked
        self._looked = now

    def left_s(self) -> float:
        """Seconds for the cells that have not ended."""
        slower = self._took_s / self._guessed_s if self._guessed_s else 1.0
        guesses = [slower * self._guess_s(case) for case in self._waiting]
        if not guesses:
            return 0.0
        # What runs now, runs since the last cell has ended; no more of it is over than it is.
        return sum(guesses) - min(guesses[0], time.monotonic() - self._looked)

    def _guess_s(self, case: Case) -> float:
        run_s = case.load.events * case.load.interval_s
        return run_s + 2.0 + self._guess_per_host_s * len(case.network.hosts)
