"""Collects the results of a job's tasks."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pubsub_common.errors import ConfigError
from pubsub_perf import archive as archives
from pubsub_perf.archive import BadArchive
from pubsub_perf.experiment.cell_runner import read_record
from pubsub_perf.experiment.merge import merge
from pubsub_perf.experiment.slurm import commands
from pubsub_perf.experiment.slurm.commands import NoAnswer
from pubsub_perf.experiment.slurm.queue import Task
from pubsub_perf.experiment.slurm.script import LOG, SWEEP, archive_name
from pubsub_perf.experiment.slurm.submission import Submitted, Wish
from pubsub_perf.experiment.sweep import DATA, Progress, Result, cell_folder, finished
from pubsub_perf.plan.blocks import blocks_of
from pubsub_perf.plan.cases import Case


class Intake:
    """Collects the results of one run."""

    def __init__(
        self, wish: Wish, notes: Path, progress: Progress, say: Callable[[str], None]
    ) -> None:
        self._wish = wish
        self._notes = notes
        self._progress = progress
        self._say = say
        # There are as many parts as blocks, so part n is block n.
        self._blocks = blocks_of(wish.cases)
        self._results: dict[Case, Result] = {}
        self._last_words: dict[int, str] = {}

    def results(self) -> list[Result]:
        """All results, in the order of the experiment."""
        return [self._results[case] for case in self._wish.cases]

    def tell_finished(self) -> None:
        """Count the cells that an earlier run has finished."""
        for case in self._wish.cases:
            self._tell_if_finished(case)

    def unfinished(self) -> list[int]:
        """The parts with a cell without a result; each part is one block."""
        return [
            number
            for number, block in enumerate(self._blocks, 1)
            if any(case not in self._results for case in block.cases)
        ]

    def take_in(self, job: Submitted, tasks: Sequence[Task]) -> None:
        """Collect results from the shared folder, and fetch the results of waiting tasks.

        Raises:
            ConfigError: results cannot be written.
        """
        for index in range(len(job.tasks)):
            archive = self._notes / archive_name(job.token, index)
            if archive.is_file():
                self._take_in(job, index, archive)
        for task in tasks:
            if task.ready:
                self._fetch(job, task)

    def awaited(self, job: Submitted, tasks: Iterable[Task]) -> bool:
        """Whether one of these ended tasks has results that are not visible here yet."""
        return not all(
            self._tell_if_finished(case)
            for task in tasks
            if task.state == "COMPLETED"
            for case in self._cases(job, task.index)
        )

    def tell_missing(self, job: Submitted, index: int, ended: str) -> None:
        """Count the cells of a task without results as failed."""
        words = self._last_words.get(index)
        said = f": {words}" if words else ""
        for case in self._cases(job, index):
            if not self._tell_if_finished(case):
                reason = f"task {job.number}_{index} left no result ({ended}){said}"
                record = {"outcome": "failed", "reason": reason}
                self._end(Result(case, record, skipped=False))

    def _fetch(self, job: Submitted, task: Task) -> None:
        archive = self._notes / f"fetched-{task.index}.tar"
        try:
            commands.fetch(task, archive)
            self._take_in(job, task.index, archive)
            commands.release(task)
        except (NoAnswer, BadArchive) as error:
            # The next pass tries again, while the task waits.
            self._say(f"task {job.number}_{task.index}: {error}")
        except OSError as error:
            raise ConfigError(
                f"cannot write {archive}: {error.strerror or error}"
            ) from error

    def _take_in(self, job: Submitted, index: int, archive: Path) -> None:
        """Merge the results of a task into the sweep."""
        folder = self._notes / f"task-{index}"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with archive.open("rb") as file, archives.opened(file) as (tar, files):
                archives.write_files(tar, files, folder)
        except OSError as error:
            raise ConfigError(
                f"cannot write {folder}: {error.strerror or error}"
            ) from error
        with contextlib.suppress(OSError):
            lines = (folder / LOG).read_text("utf-8", "replace").splitlines()
            self._last_words[index] = next(filter(str.strip, reversed(lines)), "")
        sweep = folder / SWEEP
        if (sweep / DATA).is_dir():
            merge([sweep], self._wish.out, force=self._wish.force)
        for case in self._cases(job, index):
            record = read_record(cell_folder(sweep, case), sweep)
            if record is not None and case not in self._results:
                self._end(Result(case, record, skipped=False))
        shutil.rmtree(folder, ignore_errors=True)
        archive.unlink(missing_ok=True)

    def _end(self, result: Result) -> None:
        self._results[result.case] = result
        self._progress.end(result)

    def _tell_if_finished(self, case: Case) -> bool:
        """Whether this cell has a result, perhaps from an earlier run."""
        if case in self._results:
            return True
        if self._wish.force:
            return False
        record = finished(cell_folder(self._wish.out, case), self._wish.out)
        if record is None:
            return False
        self._end(Result(case, record, skipped=True))
        return True

    def _cases(self, job: Submitted, index: int) -> list[Case]:
        """The cells of a task."""
        return [
            case
            for number in job.tasks[index]
            for case in self._blocks[number - 1].cases
        ]
