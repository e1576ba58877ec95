"""Repeated runs of a cell, read back together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pubsub_perf.results.cells import Cell
from pubsub_perf.results.dataset import read_dataset

ROW = "10.0.0.2:5556,A,0.0005\n"
NETWORK = "tree-d2f2-4hosts"


def write_run(folder: Path, rows: int = 1, **fields: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "subscriber-0.csv").write_text(ROW * rows)
    if fields:
        (folder / "cell.json").write_text(json.dumps({"format": 1} | fields))
    return folder


def counts(rows: int, **fields: Any) -> dict[str, Any]:
    expected = {"expected": rows + 1, "received": rows, "lost": 1}
    return expected | {"outcome": "ok"} | fields


def sweep(root: Path, runs: int = 3, **fields: Any) -> Path:
    cell = root / "data/centralized" / NETWORK
    for number in range(1, runs + 1):
        folder = cell if number == 1 else cell / f"run-{number}"
        write_run(folder, number, **counts(number, run=number, **fields))
    return root


def only_cell(root: Path) -> Cell:
    (cell,) = read_dataset(root).cells
    return cell


def test_runs_are_one_cell(tmp_path: Path) -> None:
    cell = only_cell(sweep(tmp_path))
    assert (cell.model, cell.network) == ("centralized", NETWORK)
    assert [run.number for run in cell.runs] == [1, 2, 3]
    assert [len(run.files[0].latencies) for run in cell.runs] == [1, 2, 3]
    assert (cell.expected, cell.received, cell.lost) == (9, 6, 3)
    assert len(cell.latencies) == 6
    assert read_dataset(tmp_path).problems == ()


def test_a_single_run_needs_no_folder_of_its_own(tmp_path: Path) -> None:
    cell = only_cell(sweep(tmp_path, runs=1))
    assert [run.number for run in cell.runs] == [1]
    assert cell.pooled == cell.runs


def test_runs_without_cell_json_are_runs(tmp_path: Path) -> None:
    cell = tmp_path / "data/centralized" / NETWORK
    write_run(cell)
    write_run(cell / "run-2", 2)
    write_run(cell / "run-10", 3)
    found = only_cell(tmp_path)
    assert [run.number for run in found.runs] == [1, 2, 10]
    assert found.expected is None


def test_the_first_run_may_be_missing(tmp_path: Path) -> None:
    write_run(tmp_path / "data/centralized" / NETWORK / "run-2", **counts(1, run=2))
    cell = only_cell(tmp_path)
    assert (cell.network, [run.number for run in cell.runs]) == (NETWORK, [2])


def test_a_run_can_be_read_by_itself(tmp_path: Path) -> None:
    root = sweep(tmp_path)
    cell = only_cell(root / "data/centralized" / NETWORK / "run-2")
    assert (cell.model, cell.network) == ("centralized", NETWORK)
    assert (cell.runs[0].number, cell.received) == (2, 2)


def test_failed_runs_are_left_out_and_told(tmp_path: Path) -> None:
    root = sweep(tmp_path)
    write_run(
        root / "data/centralized" / NETWORK / "run-2",
        2,
        **counts(2, outcome="failed", reason="the broker\ndied"),
    )
    cell = only_cell(root)
    assert [run.number for run in cell.pooled] == [1, 3]
    assert (cell.failed, cell.received) == (False, 4)
    assert read_dataset(root).problems == (
        f"data/centralized/{NETWORK}: run 2 failed and is left out: the broker\\ndied",
    )


def test_a_cell_all_of_whose_runs_failed_has_failed(tmp_path: Path) -> None:
    root = sweep(tmp_path, outcome="failed", reason="no network")
    cell = only_cell(root)
    assert (cell.failed, cell.reason, len(cell.pooled)) == (True, "no network", 3)


def test_the_worst_fidelity_is_the_cells(tmp_path: Path) -> None:
    root = sweep(tmp_path, fidelity={"verdict": "ok"})
    for number in (2, 3):
        write_run(
            root / "data/centralized" / NETWORK / f"run-{number}",
            number,
            **counts(number, fidelity={"verdict": "strained", "reason": "busy"}),
        )
    cell = only_cell(root)
    assert (cell.fidelity, cell.degraded) == ("strained", True)
    assert cell.fidelity_reason == "2 of 3 runs: busy"


def test_an_empty_run_folder_is_a_problem(tmp_path: Path) -> None:
    root = sweep(tmp_path, runs=1)
    (root / "data/centralized" / NETWORK / "run-2").mkdir()
    assert read_dataset(root).problems == (
        f"data/centralized/{NETWORK}/run-2: neither latency files nor cell.json",
    )


def test_what_is_wrong_in_a_run_is_named_with_its_folder(tmp_path: Path) -> None:
    root = sweep(tmp_path, runs=2)
    write_run(root / "data/centralized" / NETWORK / "run-2", 5, **counts(2))
    assert read_dataset(root).problems == (
        f"data/centralized/{NETWORK}/run-2: cell.json says 2 received; the files hold "
        "5 events",
    )


def test_runs_of_different_networks_are_pointed_out(tmp_path: Path) -> None:
    root = sweep(tmp_path, runs=2, network=NETWORK)
    folder = root / "data/centralized" / NETWORK / "run-2"
    write_run(folder, 2, **counts(2, network="tree-d3f2-8hosts"))
    problems = read_dataset(root).problems
    assert any("its runs are of 2 different networks" in text for text in problems)


def test_a_folder_of_sweeps_named_like_runs_is_not_a_cell(tmp_path: Path) -> None:
    for name in ("run-1", "run-2"):
        write_run(tmp_path / name / "data/centralized" / NETWORK)
    assert len(read_dataset(tmp_path).cells) == 2
