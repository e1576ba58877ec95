"""The batch script of a job array, run by a shell; Slurm's `scontrol` is a stand-in."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from pubsub_common.testing import wait_for
from pubsub_perf.experiment.slurm.script import (
    MAX_TASKS,
    READY,
    Job,
    archive_name,
    script,
    tasks_of,
)

TEXT = """title = "it's $HOME and `ls`"
[parameters]
topology = "single-switch"
"""
# Prints its arguments, and leaves a file in the place of a cell.
PROGRAM = """#!/bin/sh
[ "$1" != --version ] || { echo pubsub-perf 9.9; exit; }
echo "$*"
mkdir -p "$8/data"
cat "$2" > "$8/data/read"
[ "$6" != 3/9 ]
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    for name in ("shared", "nodes", "programs"):
        (tmp_path / name).mkdir()
    program = tmp_path / "programs" / "pubsub-perf"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    scontrol = tmp_path / "programs" / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$2 $3" >> {tmp_path}/comments\n')
    scontrol.chmod(0o755)
    tasks = ((1,), (2, 4), (3,))
    shared = tmp_path / "shared"
    return Job(
        TEXT, "local", tasks, 9, str(shared), "t0", str(program), "pubsub-perf 9.9"
    )


def run(job: Job, task: int, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", script(job)],
        env={
            "PATH": f"{folder / 'programs'}:{os.environ['PATH']}",
            "TMPDIR": str(folder / "nodes"),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_JOB_ID": "77",
        },
        cwd=folder,
    )


def read(archive: Path, name: str) -> str:
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read().decode()


def comments(folder: Path) -> list[str]:
    said = folder / "comments"
    return said.read_text().splitlines() if said.exists() else []


def test_a_task_runs_its_parts_and_leaves_them_in_the_folder_that_all_see(
    job: Job, tmp_path: Path
) -> None:
    (tmp_path / "shared" / job.token).touch()

    assert run(job, 1, tmp_path).wait(20) == 0

    archive = tmp_path / "shared" / archive_name(job.token, 1)
    first, second = read(archive, "./log").splitlines()
    assert re.fullmatch(
        r"run (/\S+)/experiment.toml --hosts local --part 2/9 --out \1/out/sweep", first
    )
    assert "--part 4/9" in second
    assert read(archive, "./sweep/data/read") == TEXT + "\n"
    assert comments(tmp_path) == ["JobId=77_1 Comment=running"]
    assert not list((tmp_path / "nodes").iterdir())


def test_without_such_a_folder_a_task_waits_until_its_results_are_fetched(
    job: Job, tmp_path: Path
) -> None:
    (tmp_path / "shared" / "another").touch()
    process = run(job, 0, tmp_path)
    wait_for(lambda: len(comments(tmp_path)) == 2, "the comment")

    folder = Path(comments(tmp_path)[1].removeprefix(f"JobId=77_0 Comment={READY}"))
    assert folder.parent == tmp_path / "nodes"
    assert "--part 1/9" in read(folder / "results.tar", "./log")
    (folder / "fetched").touch()

    assert process.wait(20) == 0
    assert not list((tmp_path / "nodes").iterdir())


def test_a_part_that_fails_makes_the_task_fail_and_leaves_what_it_has(
    job: Job, tmp_path: Path
) -> None:
    (tmp_path / "shared" / job.token).touch()

    assert run(job, 2, tmp_path).wait(20) == 1

    assert "3/9" in read(tmp_path / "shared" / archive_name(job.token, 2), "./log")


def test_another_version_runs_nothing_and_says_so(job: Job, tmp_path: Path) -> None:
    (tmp_path / "shared" / job.token).touch()
    Path(job.program).write_text(PROGRAM.replace("9.9", "9.8"))

    assert run(job, 0, tmp_path).wait(20) == 1

    (line,) = read(
        tmp_path / "shared" / archive_name(job.token, 0), "./log"
    ).splitlines()
    assert line.endswith(" has pubsub-perf 9.8, and pubsub-perf 9.9 was asked for")


def test_a_task_that_is_ended_leaves_nothing(job: Job, tmp_path: Path) -> None:
    process = run(job, 0, tmp_path)
    wait_for(lambda: len(comments(tmp_path)) == 2, "the comment")
    process.terminate()
    assert process.wait(20) == 143
    assert not list((tmp_path / "nodes").iterdir())


def test_each_part_is_a_task_of_its_own_as_far_as_arrays_go() -> None:
    assert tasks_of([2, 5]) == ((2,), (5,))
    many = tasks_of(range(1, 2 * MAX_TASKS + 2))
    assert len(many) == MAX_TASKS
    assert sorted(part for task in many for part in task) == list(
        range(1, 2 * MAX_TASKS + 2)
    )
