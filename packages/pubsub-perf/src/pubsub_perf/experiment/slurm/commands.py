"""Slurm's commands, the only interface to a cluster."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_perf.experiment.slurm import queue
from pubsub_perf.experiment.slurm.queue import Task
from pubsub_perf.experiment.slurm.script import FETCHED, RESULTS

_PROGRAMS: Final = ("sbatch", "squeue", "scancel", "srun")
# Slurm's own commands give up after some 100 s of a controller that does not answer.
_TIMEOUT_S: Final = 150.0
_UNKNOWN: Final = "Invalid job id"


class NoAnswer(PubSubError):
    """Slurm's controller does not answer, perhaps for a short time."""


def check_there() -> None:
    """Raises:
    ConfigError: Slurm's commands are not installed here.
    """
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise ConfigError(f"no Slurm here: {', '.join(missing)} missing")


def submit(script: Path, tasks: int, words: Sequence[str]) -> str:
    """Submit a script as an array of so many tasks, each each with its own node; ``words`` are
    additional options of ``sbatch``. Returns the job's number.

    Raises:
        ConfigError: Slurm rejects the job.
    """
    command = [
        *("sbatch", "--parsable", f"--array=0-{tasks - 1}", "--job-name=pubsub-perf"),
        *("--nodes=1", "--ntasks=1", "--exclusive", "--output=/dev/null"),
        *words,
        str(script),
    ]
    try:
        said = _run(command)
    except NoAnswer as error:
        raise ConfigError(f"Slurm does not take the job: {error}") from None
    # With several clusters its name follows.
    return said.strip().partition(";")[0]


def tasks_of(job: str) -> list[Task] | None:
    """The tasks of a job; None after Slurm has forgotten it, some minutes after its
    end.

    Raises:
        NoAnswer: Slurm does not answer.
    """
    try:
        said = _run(
            [
                *("squeue", "--noheader", "--array", "--states=all"),
                *(f"--jobs={job}", f"--format={queue.FORMAT}"),
            ]
        )
    except NoAnswer as error:
        if _UNKNOWN in str(error):
            return None
        raise
    return queue.parse_tasks(said)


def fetch(task: Task, target: Path) -> None:
    """Copy the results of a waiting task into the file ``target``.

    Raises:
        NoAnswer: the command failed, perhaps for a short time.
        OSError: the file cannot be written.
    """
    with target.open("wb") as file:
        _step(task, ["cat", f"{task.folder}/{RESULTS}"], file.fileno())


def release(task: Task) -> None:
    """End a task after its results have been fetched.

    Raises:
        NoAnswer: the command failed; the task ends later by itself.
    """
    _step(task, ["touch", f"{task.folder}/{FETCHED}"], subprocess.DEVNULL)


def cancel(job: str) -> None:
    """Cancel a job with all its tasks."""
    subprocess.run(
        ["scancel", job], capture_output=True, timeout=_TIMEOUT_S, check=False
    )


def _step(task: Task, command: Sequence[str], out: int) -> None:
    """Run a command on the node of a running task."""
    _run(
        [
            *("srun", f"--jobid={task.job}", "--overlap", "--nodes=1", "--ntasks=1"),
            *("--quiet", "--input=none", "--chdir=/", *command),
        ],
        out,
    )


def _run(command: Sequence[str], out: int = subprocess.PIPE) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"{command[0]} took more than {_TIMEOUT_S:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoAnswer(
            said[-1] if said else f"{command[0]} ended with {done.returncode}"
        )
    return (done.stdout or b"").decode(errors="replace")
