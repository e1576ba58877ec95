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
    """One cell's record, and whether it is from an earlier run."""

    case: Case
    record: dict[str, Any]
    skipped: bool

    @property
    def failed(self) -> bool:
        return self.record.get("outcome") != "ok"


class Progress(Protocol):
    """Receives the progress of a sweep."""

    def begin(self, case: Case) -> None:
        """A cell begins."""

    def step(self, what: str) -> None:
        """The next step of the cell begins."""

    def end(self, result: Result) -> None:
        """A cell has ended."""


def cell_folder(out: Path, case: Case) -> Path:
    """The folder of a cell's files (contract), with its further runs in subfolders. A scenario
    has a folder only if an experiment has several."""
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
    """Run the unfinished cases. A failed case is recorded, and the sweep continues.

    Raises:
        ConfigError: ``out`` has a finished cell with other parameters, or cannot be
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
    """The record of a successful cell of the sweep in ``out``, or None."""
    record = read_record(folder, out)
    return record if record is not None and record.get("outcome") == "ok" else None


def finished_cells(
    cases: Sequence[Case], out: Path, kind: HostKind | None
) -> dict[Case, dict[str, Any]]:
    """The records of the successful cases. Cells of one sweep are compared with each other, so
    they must be alike. ``kind`` is None while it is unknown.

    Raises:
        ConfigError: ``out`` has a finished one of these cells with other parameters.
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
    # The wait factor limits a run and does not change it.
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
    """The time left of a sweep that begins now, estimated from its finished cells; also for
    several machines.

    A cell's time is modelled as a constant for the run itself plus a share for each host.
    The cells that have ended give the speed of the sweep.
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
        # The current cell began when the last one ended; at most its whole time has passed.
        return sum(guesses) - min(guesses[0], time.monotonic() - self._looked)

    def _guess_s(self, case: Case) -> float:
        run_s = case.load.events * case.load.interval_s
        return run_s + 2.0 + self._guess_per_host_s * len(case.network.hosts)
