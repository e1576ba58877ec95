"""A request for a run on a cluster, and its running job.

The job is noted in a hidden folder of the results, so that the next run continues after a run that
ended in any way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pubsub_common.errors import ConfigError
from pubsub_common.files import write_atomically
from pubsub_perf.experiment.slurm import commands
from pubsub_perf.experiment.slurm.script import Job, script
from pubsub_perf.folder_files import make_folder
from pubsub_perf.plan.blocks import blocks_of
from pubsub_perf.plan.cases import Case
from pubsub_perf.plan.experiment import Experiment

_PROGRAM: Final = "pubsub-perf"
_FOLDER: Final = ".slurm"
_JOB: Final = "job.json"
_LOCK: Final = "lock"


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """A request: ``cases`` of the text ``experiment`` on a kind of ``hosts``, with results in
    ``out``. ``program`` runs on the nodes, and must have this ``version``; ``words`` are
    additional options of ``sbatch``. ``force`` runs finished cells again."""

    experiment: str
    cases: tuple[Case, ...]
    hosts: str
    out: Path
    program: str
    version: str
    words: tuple[str, ...] = ()
    force: bool = False


def wish_of(
    experiment: Experiment, hosts: str, out: Path, *, words: str, force: bool
) -> Wish:
    """The request for a run by the program that runs here.

    Raises:
        ConfigError: ``words`` are not valid shell words.
    """
    try:
        further = shlex.split(words)
    except ValueError as error:
        raise ConfigError(f"--sbatch: {error}: {words}") from None
    return Wish(
        experiment=experiment.text,
        cases=experiment.cases,
        hosts=hosts,
        out=out,
        program=str(Path(sys.executable).parent / _PROGRAM),
        version=f"{_PROGRAM} {importlib.metadata.version(_PROGRAM)}",
        words=tuple(further),
        force=force,
    )


class Submitted(msgspec.Struct, frozen=True):
    """A submitted job: its number, and the parts of its tasks."""

    number: str
    token: str
    experiment: str
    tasks: tuple[tuple[int, ...], ...]


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[Path]:
    """Be the only process that collects into this folder. Yields the folder for notes, which is
    removed when no job is left."""
    try:
        notes = make_folder(out, _FOLDER)
        lock = os.open(notes / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another run collects into {out}") from None
        try:
            yield notes
        finally:
            if not (notes / _JOB).exists():
                shutil.rmtree(notes, ignore_errors=True)
    finally:
        os.close(lock)


def under_way(wish: Wish, notes: Path) -> Submitted | None:
    """The job that an earlier run submitted and did not collect.

    Raises:
        ConfigError: the job belongs to another experiment.
    """
    try:
        found = msgspec.json.decode((notes / _JOB).read_bytes(), type=Submitted)
    except (OSError, msgspec.MsgspecError):
        return None
    if found.experiment == wish.experiment:
        return found
    raise ConfigError(
        f"job {found.number} of another experiment writes its results into {wish.out}: "
        f"choose another --out, or cancel it (scancel {found.number}) and remove {notes}"
    )


def submit(wish: Wish, notes: Path, tasks: tuple[tuple[int, ...], ...]) -> Submitted:
    """Submit a job with these tasks, and note it.

    Raises:
        ConfigError: Slurm rejects the job, or the note cannot be written.
    """
    token = secrets.token_hex(8)
    job = Job(
        wish.experiment,
        wish.hosts,
        tasks,
        len(blocks_of(wish.cases)),
        str(notes.resolve()),
        token,
        wish.program,
        wish.version,
    )
    try:
        (notes / token).touch()
        batch = notes / "job.sh"
        write_atomically(batch, script(job).encode(), follow_link=False)
        number = commands.submit(batch, len(tasks), wish.words)
        found = Submitted(number, token, wish.experiment, tasks)
        write_atomically(notes / _JOB, msgspec.json.encode(found), follow_link=False)
    except OSError as error:
        raise ConfigError(f"cannot write {notes}: {error.strerror or error}") from error
    return found


def forget(notes: Path) -> None:
    """Remove the note of the job."""
    (notes / _JOB).unlink(missing_ok=True)
