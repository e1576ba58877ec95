"""Machines are a factor of an analysis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.perf_sweeps import write_sweep

from pubsub_perf.analysis import Analysis, analyse
from pubsub_perf.plan import topologies
from pubsub_perf.report.findings import findings_of
from pubsub_perf.results.dataset import read_dataset

CHANGED = ("centralized", 3)


def _analysed(folder: Path, machine_of: Callable[[str, int], str | None]) -> Analysis:
    """A sweep with runs of these machines, by model and run."""
    write_sweep(folder, [topologies.single_switch(4)], runs=4)
    for path in folder.rglob("cell.json"):
        record = json.loads(path.read_text())
        name = machine_of(record["model"], record["run"])
        if name is not None:
            record["machine"] = {"id": f"id-of-{name}", "host": name}
        path.write_text(json.dumps(record))
    return analyse(read_dataset(folder), resamples=100)


def test_two_machines_are_a_table_of_factors(tmp_path: Path) -> None:
    found = _analysed(tmp_path, lambda _, run: f"lab{1 + run % 2}")
    assert [(each.name, each.id) for each in found.machines] == [
        ("lab1", "id-of-lab1"),
        ("lab2", "id-of-lab2"),
    ]
    assert {each.cells for each in found.machines} == {2}
    first, second = (each.factor for each in found.machines)
    assert first is not None
    assert second is not None
    assert first * second == pytest.approx(1)
    (table,) = (t for t in findings_of(found).tables if t.title == "Machines")
    assert [row[:2] for row in table.rows] == [("lab1", "id-of-"), ("lab2", "id-of-")]
    assert not any("compare the machines" in problem for problem in found.problems)


def test_a_pair_of_two_machines_is_named_and_left_out(tmp_path: Path) -> None:
    found = _analysed(tmp_path, lambda model, _: f"at-{model}")
    told = [problem for problem in found.problems if "compare the machines" in problem]
    assert len(told) == 4
    assert "run 1: one model was measured at at-centralized" in told[0]
    assert not found.pairs
    assert {pattern.verdict for pattern in found.patterns} == {"undecided"}
    whys = {cell.why_not for cell in found.cells}
    assert whys == {"the other model was measured at another machine"}


def test_the_other_runs_of_such_a_cell_are_counted(tmp_path: Path) -> None:
    found = _analysed(
        tmp_path, lambda model, run: "lab2" if (model, run) == CHANGED else "lab1"
    )
    assert len(found.pairs) == 1
    for cell in found.cells:
        assert cell.why_not is None
        reasons = [run.why_not for run in cell.runs]
        assert reasons[:2] == [None, None]
        assert reasons[2] == "the other model was measured at another machine"
        assert reasons[3:] == [None]


@pytest.mark.parametrize("name", ["lab1", None])
def test_one_machine_or_unknown_ones_are_no_factor(
    tmp_path: Path, name: str | None
) -> None:
    found = _analysed(tmp_path, lambda *_: name)
    assert not found.machines
    assert not any("compare the machines" in problem for problem in found.problems)
