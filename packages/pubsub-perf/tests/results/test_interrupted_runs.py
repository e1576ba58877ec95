"""Runs that have not ended are left out, with a message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.results.dataset import read_dataset

HEADER = "publisher,topic,latency_seconds\n"
CELL = "data/centralized/tree-d2f2-4hosts"


def write_run(folder: Path, outcome: str | None, rows: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    data = HEADER + "10.0.0.2:5556,A,0.0005\n" * rows
    (folder / "subscriber-0.csv").write_text(data)
    if outcome is not None:
        record = {"format": 1, "outcome": outcome, "started": "2026-01-02T03:04:05"}
        (folder / "cell.json").write_text(json.dumps(record))
    return folder


def test_a_run_that_was_started_and_has_not_ended_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / CELL, "ok")
    write_run(tmp_path / CELL / "run-2", "started")
    dataset = read_dataset(tmp_path)
    (cell,) = dataset.cells
    assert [run.number for run in cell.runs] == [1]
    assert cell.received == 3
    assert dataset.problems == (
        f"{CELL}/run-2: the run was started (at 2026-01-02T03:04:05) and has not ended: "
        "it is left out until it is run again",
    )


def test_the_files_of_a_run_that_has_not_ended_are_not_judged(tmp_path: Path) -> None:
    write_run(tmp_path / CELL, "ok")
    run = write_run(tmp_path / CELL / "run-2", "started")
    (run / "subscriber-1.csv").write_text("10.0.0.2:5556,A,0.0")
    assert len(read_dataset(tmp_path).problems) == 1


@pytest.mark.parametrize("number", [1, 3])
def test_a_run_without_a_record_beside_recorded_ones_is_left_out(
    tmp_path: Path, number: int
) -> None:
    for each in (1, 2, 3):
        folder = tmp_path / CELL if each == 1 else tmp_path / CELL / f"run-{each}"
        write_run(folder, None if each == number else "ok")
    dataset = read_dataset(tmp_path)
    (cell,) = dataset.cells
    assert [run.number for run in cell.runs] == [n for n in (1, 2, 3) if n != number]
    name = CELL if number == 1 else f"{CELL}/run-{number}"
    assert dataset.problems == (
        f"{name}: the run has no cell.json, as if it was interrupted: it is left out "
        "until it is run again",
    )


@pytest.mark.parametrize("name", ["logs", "events", "reports"])
def test_a_cell_without_a_record_whose_roles_left_folders_is_left_out(
    tmp_path: Path, name: str
) -> None:
    write_run(tmp_path / CELL, None)
    write_run(tmp_path / "data/decentralized/tree-d2f2-4hosts", "ok")
    (tmp_path / CELL / name).mkdir()
    dataset = read_dataset(tmp_path)
    assert [cell.model for cell in dataset.cells] == ["decentralized"]
    [problem] = dataset.problems
    assert problem.startswith(f"{CELL}: the run has no cell.json")


def test_data_that_nobody_recorded_are_data(tmp_path: Path) -> None:
    write_run(tmp_path / CELL, None)
    write_run(tmp_path / CELL / "run-2", None)
    write_run(tmp_path / "data/decentralized/tree-d2f2-4hosts", "ok")
    dataset = read_dataset(tmp_path)
    assert [len(cell.runs) for cell in dataset.cells] == [2, 1]
    assert dataset.problems == ()


def test_nothing_but_interrupted_runs_is_said_in_a_line(tmp_path: Path) -> None:
    write_run(tmp_path / CELL, "started")
    write_run(tmp_path / CELL / "run-2", "started")
    with pytest.raises(
        ConfigError, match=r"; data/.*: the run was started .*; and 1 more$"
    ):
        read_dataset(tmp_path)
