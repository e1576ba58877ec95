"""Runs an experiment as a job array, and waits for its results.

A job that still exists is watched, not submitted again. Tasks have only blocks with unfinished
cells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.errors import PubSubError
from pubsub_common.text.counted import counted
from pubsub_perf.experiment.slurm import commands, submission
from pubsub_perf.experiment.slurm.commands import NoAnswer
from pubsub_perf.experiment.slurm.intake import Intake
from pubsub_perf.experiment.slurm.queue import Task
from pubsub_perf.experiment.slurm.script import tasks_of
from pubsub_perf.experiment.slurm.submission import Submitted, Wish
from pubsub_perf.experiment.sweep import Progress, Result

# A cluster's controller serves many, and blocks take half a minute.
_LOOK_S: Final = 2.0
# Long enough for a restart of the controller.
_PATIENCE_S: Final = 600.0
# A network file system shows a new file to other machines within this time.
_FILES_APPEAR_S: Final = 60.0


def run_array(
    wish: Wish, progress: Progress, say: Callable[[str], None]
) -> list[Result]:
    """Run the unfinished cells on a cluster, and wait for them; returns all results. ``say``
    prints a message for the user.

    An interrupt (KeyboardInterrupt, SystemExit) cancels the job.

    Raises:
        ConfigError: Slurm is missing or rejects the job, or another run or a job of another
            experiment collects into the same folder.
        PubSubError: Slurm does not answer for minutes. The job continues.
    """
    commands.check_there()
    with submission.only_one(wish.out) as notes:
        intake = Intake(wish, notes, progress, say)
        if (job := submission.under_way(wish, notes)) is not None:
            say(f"job {job.number} is already running")
            _collect(job, notes, intake, progress)
        intake.tell_finished()
        if parts := intake.unfinished():
            job = submission.submit(wish, notes, tasks_of(parts))
            say(f"job {job.number} has {counted(len(job.tasks), 'task')}")
            _collect(job, notes, intake, progress)
    return intake.results()


def _collect(job: Submitted, notes: Path, intake: Intake, progress: Progress) -> None:
    """Take in the results of a job until it has ended."""
    try:
        states = _watch(job, intake, progress)
    except (KeyboardInterrupt, SystemExit):
        commands.cancel(job.number)
        submission.forget(notes)
        raise
    for index in range(len(job.tasks)):
        task = states.get(index)
        ended = f"{task.state} at {task.node or 'no node'}" if task else "forgotten"
        intake.tell_missing(job, index, ended)
    submission.forget(notes)


def _watch(job: Submitted, intake: Intake, progress: Progress) -> Mapping[int, Task]:
    """Watch a job until it has ended; the last states of the tasks that Slurm knew."""
    heard = time.monotonic()
    ended: float | None = None
    states: dict[int, Task] = {}
    while True:
        try:
            tasks = commands.tasks_of(job.number) or []
            heard = time.monotonic()
        except NoAnswer as error:
            _check_patience(error, heard, job)
        else:
            states |= {task.index: task for task in tasks}
            progress.step(_how_far(job, tasks))
            intake.take_in(job, tasks)
            if not any(task.under_way for task in tasks):
                ended = ended or time.monotonic()
                late = time.monotonic() - ended > _FILES_APPEAR_S
                if late or not intake.awaited(job, states.values()):
                    return states
        time.sleep(_LOOK_S)


def _how_far(job: Submitted, tasks: Sequence[Task]) -> str:
    waiting = sum(task.state == "PENDING" for task in tasks)
    running = sum(task.under_way for task in tasks) - waiting
    return f"job {job.number}: {running} of {len(job.tasks)} tasks run, {waiting} wait"


def _check_patience(error: NoAnswer, heard: float, job: Submitted) -> None:
    if time.monotonic() - heard > _PATIENCE_S:
        raise PubSubError(
            f"Slurm does not answer: {error}; job {job.number} continues, and the same "
            "command will collect its results"
        ) from error
