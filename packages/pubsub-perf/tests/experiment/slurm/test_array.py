"""Runs through a stand-in for Slurm, in which tests control the tasks."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_perf.experiment.experiment_copy import keep_copy
from pubsub_perf.experiment.slurm import array, commands
from pubsub_perf.experiment.slurm.commands import NoAnswer
from pubsub_perf.experiment.slurm.queue import Task
from pubsub_perf.experiment.slurm.submission import Submitted, Wish, wish_of
from pubsub_perf.experiment.sweep import Result, cell_folder
from pubsub_perf.plan.blocks import blocks_of
from pubsub_perf.plan.experiment_text import parse_experiment

TEXT = """
repeats = 2
[parameters]
topology = "single-switch"
switch-hosts = [4, 5]
"""
EXPERIMENT = parse_experiment(TEXT)
BLOCKS = blocks_of(EXPERIMENT.cases)


class Quiet:
    """A `Progress` that keeps its calls."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.steps: list[str] = []

    def begin(self, case: object) -> None:
        pass

    def step(self, what: str) -> None:
        self.steps.append(what)

    def end(self, result: Result) -> None:
        self.results.append(result)


class Cluster:
    """Tasks that are one after the other ready, or end in another state. ``tasks`` says for
    each what becomes of it; ``jobs`` are the parts of the tasks of each job."""

    def __init__(self, out: Path, folder: Path) -> None:
        self.out = out
        self.folder = folder
        self.becomes: dict[int, str] = {}
        self.shared = False
        self.jobs: list[tuple[tuple[int, ...], ...]] = []
        self.cancelled: list[str] = []
        self.over: set[int] = set()
        self.silent = 0

    def submit(self, script: Path, tasks: int, words: Sequence[str]) -> str:
        self.over.clear()
        assert script.is_file()
        self.jobs.append(())
        return str(len(self.jobs))

    def note(self) -> Submitted:
        text = (self.out / ".slurm" / "job.json").read_bytes()
        return msgspec.json.decode(text, type=Submitted)

    def tasks_of(self, job: str) -> list[Task]:
        if self.silent:
            self.silent -= 1
            raise NoAnswer("Unable to contact slurm controller")
        noted = self.note()
        self.jobs[-1] = noted.tasks
        found = []
        for index in range(len(noted.tasks)):
            state = self.becomes.get(index, "COMPLETED")
            if index in self.over:
                found.append(Task(f"1{index}", index, state, "d1", None))
            elif state != "COMPLETED":
                self.over.add(index)
                found.append(Task(f"1{index}", index, "RUNNING", "d1", None))
            elif self.shared:
                name = f"{noted.token}-{index}.tar"
                self.pack(noted.tasks[index], self.out / ".slurm" / name)
                self.over.add(index)
                found.append(Task(f"1{index}", index, "RUNNING", "d1", None))
            else:
                found.append(Task(f"1{index}", index, "RUNNING", "d1", "/tmp/x"))
        return found

    def fetch(self, task: Task, target: Path) -> None:
        self.pack(self.note().tasks[task.index], target)

    def release(self, task: Task) -> None:
        self.over.add(task.index)

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)

    def pack(self, parts: Sequence[int], target: Path) -> None:
        made = self.folder / f"made-{target.name}"
        for case in (case for part in parts for case in BLOCKS[part - 1].cases):
            folder = cell_folder(made / "sweep", case)
            folder.mkdir(parents=True, exist_ok=True)
            record = {
                "outcome": "ok",
                "parameters": case.parameters(),
                "duration_s": 1.0,
                "started": case.name,
            }
            (folder / "cell.json").write_text(json.dumps(record))
        (made / "log").write_text("all is well\n\n")
        with tarfile.open(target, "w") as tar:
            tar.add(made, ".")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster(tmp_path / "out", tmp_path)
    for name in ("submit", "tasks_of", "fetch", "release", "cancel"):
        monkeypatch.setattr(commands, name, getattr(found, name))
    monkeypatch.setattr(commands, "check_there", lambda: None)
    monkeypatch.setattr(array, "_LOOK_S", 0.0)
    return found


@pytest.fixture
def wish(cluster: Cluster) -> Wish:
    return wish_of(EXPERIMENT, "local", cluster.out, words="--time=5", force=False)


Run = Callable[[], list[Result]]


@pytest.fixture
def run(wish: Wish, said: list[str]) -> Run:
    return lambda: array.run_array(wish, Quiet(), said.append)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize("shared", [False, True])
def test_each_block_is_a_task_and_all_results_come(
    cluster: Cluster, run: Run, shared: bool
) -> None:
    cluster.shared = shared

    results = run()

    assert [result.case for result in results] == list(EXPERIMENT.cases)
    assert not [result for result in results if result.failed or result.skipped]
    assert cluster.jobs == [((1,), (2,), (3,), (4,))]
    for case in EXPERIMENT.cases:
        assert (cell_folder(cluster.out, case) / "cell.json").is_file()
    assert [path.name for path in cluster.out.iterdir()] == ["data"]


def test_the_progress_tells_how_many_tasks_run(cluster: Cluster, wish: Wish) -> None:
    progress = Quiet()
    array.run_array(wish, progress, print)
    assert progress.steps[0] == "job 1: 4 of 4 tasks run, 0 wait"
    assert progress.steps[-1] == "job 1: 0 of 4 tasks run, 0 wait"
    assert len(progress.results) == 8


def test_finished_cells_are_in_no_task(cluster: Cluster, run: Run) -> None:
    cluster.becomes = {1: "FAILED", 2: "TIMEOUT"}
    failed = [result for result in run() if result.failed]
    assert {result.case.name.partition("/")[2] for result in failed} == {
        BLOCKS[1].name,
        BLOCKS[2].name,
    }
    assert failed[0].record["reason"] == "task 1_1 left no result (FAILED at d1)"

    cluster.becomes = {}
    again = run()

    assert cluster.jobs[1] == ((2,), (3,))
    assert [result.skipped for result in again] == [True] * 2 + [False] * 4 + [True] * 2
    assert [result.skipped for result in run()] == [True] * 8
    assert len(cluster.jobs) == 2


def test_a_job_of_a_process_that_was_killed_is_gone_on_with(
    cluster: Cluster, run: Run, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def dies(task: Task) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(commands, "release", dies)
        with pytest.raises(Killed):
            run()

    results = run()

    assert len(cluster.jobs) == 1
    assert not cluster.cancelled
    assert not [result for result in results if result.failed]
    assert said == ["job 1 has 4 tasks", "job 1 is already running"]


def test_a_job_that_is_forgotten_is_submitted_again(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.becomes = {0: "FAILED"}
    with monkeypatch.context() as patch:
        patch.setattr(commands, "tasks_of", lambda job: None)
        results = run()
    assert {result.record["reason"] for result in results} == {
        f"task 1_{index} left no result (forgotten)" for index in range(4)
    }
    cluster.becomes = {}
    assert not [result for result in run() if result.failed]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit(143)])
def test_an_interrupt_cancels_the_job_and_leaves_no_notes(
    cluster: Cluster,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: BaseException,
) -> None:
    def interrupted(job: str) -> list[Task]:
        raise interrupt

    monkeypatch.setattr(commands, "tasks_of", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run()

    assert cluster.cancelled == ["1"]
    assert not list(cluster.out.iterdir())


def test_a_controller_that_does_not_answer_for_a_while_is_waited_for(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.silent = 3
    assert not [result for result in run() if result.failed]

    monkeypatch.setattr(array, "_PATIENCE_S", -1.0)
    (cell_folder(cluster.out, EXPERIMENT.cases[0]) / "cell.json").unlink()
    cluster.silent = 1
    with pytest.raises(PubSubError, match="job 2 continues"):
        run()
    assert not cluster.cancelled
    assert not [result for result in run() if result.failed]
    assert len(cluster.jobs) == 2


def test_results_that_do_not_come_whole_are_fetched_again(
    cluster: Cluster, run: Run, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = iter([b"", b"no archive"])

    def fetch(task: Task, target: Path) -> None:
        if (content := next(broken, None)) is None:
            cluster.fetch(task, target)
        else:
            target.write_bytes(content)

    monkeypatch.setattr(commands, "fetch", fetch)
    assert not [result for result in run() if result.failed]
    assert "damaged archive" in "".join(said)


def test_a_job_of_another_experiment_is_not_mixed_in(
    cluster: Cluster, run: Run, wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array, "_PATIENCE_S", -1.0)
    cluster.silent = 1
    with pytest.raises(PubSubError, match="job 1 continues"):
        run()
    other = dataclasses.replace(wish, experiment=TEXT + "\n# another")
    with pytest.raises(ConfigError, match="job 1 of another experiment"):
        array.run_array(other, Quiet(), print)


def test_two_runs_do_not_collect_into_one_folder(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(job: str) -> list[Task]:
        with pytest.raises(ConfigError, match="another run collects into"):
            run()
        assert (cluster.out / ".slurm").is_dir()
        return cluster.tasks_of(job)

    monkeypatch.setattr(commands, "tasks_of", second)
    assert not [result for result in run() if result.failed]


def test_what_comes_from_a_cluster_is_not_mixed_with_other_parameters(
    cluster: Cluster, run: Run
) -> None:
    run()
    other = parse_experiment(TEXT + "events = 7\n")
    with pytest.raises(ConfigError, match="events 50 there, 7 asked"):
        keep_copy(other, cluster.out, None, force=False)
    keep_copy(other, cluster.out, None, force=True)


def test_forced_cells_replace_those_of_before(cluster: Cluster, wish: Wish) -> None:
    array.run_array(wish, Quiet(), print)
    for case in EXPERIMENT.cases:
        file = cell_folder(cluster.out, case) / "cell.json"
        file.write_text(file.read_text().replace('"started": "', '"started": "before '))

    forced = dataclasses.replace(wish, force=True)
    results = array.run_array(forced, Quiet(), print)

    assert not [result for result in results if result.failed or result.skipped]
    for case in EXPERIMENT.cases:
        assert (
            "before" not in (cell_folder(cluster.out, case) / "cell.json").read_text()
        )


def test_words_for_sbatch_are_those_of_a_shell(cluster: Cluster) -> None:
    found = wish_of(
        EXPERIMENT, "local", cluster.out, words="--comment='a b' -t 5", force=False
    )
    assert found.words == ("--comment=a b", "-t", "5")
    with pytest.raises(ConfigError, match="--sbatch: No closing quotation"):
        wish_of(EXPERIMENT, "local", cluster.out, words="'", force=False)


def test_without_slurm_one_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match="no Slurm here: sbatch, squeue, scancel, srun"
    ):
        commands.check_there()
