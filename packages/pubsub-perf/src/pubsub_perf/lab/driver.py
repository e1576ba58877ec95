"""Drives a sweep on several machines: gives blocks to their workers, and keeps their results.

One thread handles the messages from the machines in their order. `pubsub_perf.lab.assignments`
makes the decisions.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Protocol

from pubsub_common.errors import ConfigError
from pubsub_perf.archive import BadArchive
from pubsub_perf.experiment.sweep import Result, cell_folder, finished_cells
from pubsub_perf.hosts.factory import HostKind
from pubsub_perf.lab import messages
from pubsub_perf.lab.assignments import Assignments, Task
from pubsub_perf.lab.cell_archive import unpack
from pubsub_perf.lab.connection import Lost, News
from pubsub_perf.lab.machines import LabMachines, Say
from pubsub_perf.plan.blocks import blocks_of
from pubsub_perf.plan.cases import Case
from pubsub_perf.results import cell_fields

# For how long to try to reach a machine again: its old worker ends itself after a silence of 15 s.
_PATIENCE_S: Final = 25.0


class LabProgress(Protocol):
    """Receives the progress of a sweep."""

    def begin(self, case: Case) -> None:
        """A cell begins."""

    def show(self, text: str) -> None:
        """What the machines do now."""

    def end(self, result: Result) -> None:
        """A cell has ended."""


@dataclasses.dataclass(slots=True, eq=False)
class _Running:
    """The cells of a machine's current task: ``now`` is the running one, ``archive`` the received
    part of its files."""

    task: Task
    archive: IO[bytes] = dataclasses.field(default_factory=tempfile.TemporaryFile)
    now: Case | None = None
    step: str = ""


class LabSweep:
    """One sweep on several machines."""

    def __init__(
        self, machines: LabMachines, out: Path, progress: LabProgress, say: Say
    ) -> None:
        """``machines`` are prepared for the cases of the sweep. Its files go into ``out``.
        ``say`` prints a message for the user."""
        self._machines = machines
        self._out = out
        self._progress = progress
        self._say = say
        self._running: dict[str, _Running] = {}
        self._idle: list[str] = []
        self._results: dict[Case, Result] = {}

    def run(
        self, cases: Sequence[Case], kind: HostKind, *, force: bool = False
    ) -> list[Result]:
        """Run the unfinished cases, and keep their files; returns all results. A cell that no
        machine could run has failed, and has no record.

        Raises:
            ConfigError: the folder has a finished cell with other parameters, or cannot be
                written.
        """
        assignments = Assignments(blocks_of(cases), self._machines.names)
        if not force:
            self._skip_finished(assignments, cases, kind)
        for name, identity in self._machines.identities().items():
            assignments.joined(name, identity)
            self._idle.append(name)
        for name, why in self._machines.left_out.items():
            assignments.leave_out(name, why)
        try:
            self._give(assignments)
            while not assignments.all_ended():
                self._hear(self._machines.news.get(), assignments)
                self._give(assignments)
        finally:
            for name in list(self._running):
                self._stop_running(name)
        for case, why in assignments.given_up().items():
            self._progress.begin(case)
            self._end(Result(case, {"outcome": "failed", "reason": why}, skipped=False))
        return [self._results[case] for case in cases]

    def _skip_finished(
        self, assignments: Assignments, cases: Sequence[Case], kind: HostKind
    ) -> None:
        records = finished_cells(cases, self._out, kind)
        measured_at = {
            case: cell_fields.text(record, "machine", "id") or ""
            for case, record in records.items()
        }
        assignments.finished_before(measured_at)
        for case, record in records.items():
            self._progress.begin(case)
            self._end(Result(case, record, skipped=True))

    def _hear(self, news: News, assignments: Assignments) -> None:
        name, what = news.machine, news.what
        if isinstance(what, Lost):
            self._lost(name, what, assignments)
        elif isinstance(what, messages.Hello):
            assignments.joined(name, self._machines.introduced(name, what))
            self._machines.set_up(name)
        elif isinstance(what, messages.Ready):
            self._idle.append(name)
        elif isinstance(what, messages.AllEnded):
            self._stop_running(name)
            assignments.block_ended(name)
            self._idle.append(name)
        elif name in self._running:
            self._of_cell(name, what, assignments)
        self._progress.show(self._doing())

    def _of_cell(
        self, name: str, what: messages.FromWorker, assignments: Assignments
    ) -> None:
        running = self._running[name]
        if isinstance(what, messages.Begun):
            running.now = running.task.cases[what.index]
            running.step = ""
            self._progress.begin(running.now)
        elif isinstance(what, messages.Step):
            running.step = what.text
        elif isinstance(what, messages.Piece):
            running.archive.write(what.data)
        elif isinstance(what, messages.Ended):
            case = running.task.cases[what.index]
            self._keep(case, running)
            assignments.cell_ended(name, case)

    def _lost(self, name: str, lost: Lost, assignments: Assignments) -> None:
        self._stop_running(name)
        if name in self._idle:
            self._idle.remove(name)
        again = assignments.failed(name, lost.why)
        self._say(f"{name}: {lost.why}: {'trying again' if again else 'left out'}")
        if again:
            self._machines.reach(name, _PATIENCE_S)

    def _stop_running(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is not None:
            running.archive.close()

    def _give(self, assignments: Assignments) -> None:
        """Give every free machine its next block, if there is one."""
        for name in list(self._idle):
            task = assignments.next_for(name)
            if task is None:
                continue
            self._idle.remove(name)
            for case in task.repeated:
                self._say(f"{case.name} is measured again, on the machine of its pair")
            self._running[name] = _Running(task)
            self._machines.send(name, messages.RunCells(list(task.cases)))

    def _keep(self, case: Case, running: _Running) -> None:
        folder = cell_folder(self._out, case)
        running.archive.seek(0)
        try:
            record = unpack(running.archive, self._out, folder)
        except BadArchive as error:
            record = {"outcome": "failed", "reason": str(error)}
        except OSError as error:
            raise ConfigError(
                f"cannot write {folder}: {error.strerror or error}"
            ) from error
        running.archive.seek(0)
        running.archive.truncate()
        running.now = None
        self._end(Result(case, record, skipped=False))

    def _end(self, result: Result) -> None:
        told = result.case in self._results
        self._results[result.case] = result
        if not told:  # it may be measured again
            self._progress.end(result)

    def _doing(self) -> str:
        return "; ".join(
            f"{name}: {running.now.name}"
            + (f", {running.step}" if running.step else "")
            for name, running in self._running.items()
            if running.now is not None
        )
