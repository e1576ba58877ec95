"""Work in several processes."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import pytest

from pubsub_common.errors import PubSubError
from pubsub_perf.report.figures import FigureWriting
from pubsub_perf.report.forked import in_processes
from pubsub_perf.report.writer import write_report


def square(number: int) -> int:
    return number * number


@pytest.mark.parametrize("processes", [1, 2, 7])
def test_results_are_in_the_order_of_the_jobs(processes: int) -> None:
    done: list[int] = []
    jobs = [functools.partial(square, number) for number in range(5)]
    found = in_processes(jobs, processes, lambda: done.append(1))
    assert found == [0, 1, 4, 9, 16]
    assert len(done) == 5


def test_jobs_need_not_be_able_to_be_pickled() -> None:
    here = object()
    assert in_processes([lambda: here is not None] * 2, 2) == [True, True]


def test_an_error_of_a_job_is_raised() -> None:
    def fail() -> int:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        in_processes([fail, fail], 2)


def test_a_process_that_is_killed_is_said() -> None:
    def end() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(PubSubError, match="killed"):
        in_processes([end, end], 2)


def test_several_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    for model in ("centralized", "decentralized"):
        folder = tmp_path / "sweep" / "data" / model / "star-4hosts"
        folder.mkdir(parents=True)
        rows = "".join(f"10.0.0.2:5556,A,{i / 1e5}\n" for i in range(1, 300))
        (folder / "subscriber-0.csv").write_text(
            f"publisher,topic,latency_seconds\n{rows}"
        )
    one, two = tmp_path / "one", tmp_path / "two"
    counted: list[int] = []
    drawn: list[int] = []
    write_report(tmp_path / "sweep", one)
    writing = FigureWriting(2, counted.append, lambda: drawn.append(1))
    written = write_report(tmp_path / "sweep", two, writing=writing)
    assert counted == [len(drawn)]
    for path in written.files:
        assert path.read_bytes() == (one / path.relative_to(two)).read_bytes()
