"""Parts of a sweep against one run of it; cells leave a record and measure nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pubsub_perf.experiment import experiment_files, sweep
from pubsub_perf.experiment.cell_runner import write_record
from pubsub_perf.experiment.merge import merge
from pubsub_perf.experiment.sweep import Result, run_sweep
from pubsub_perf.plan.blocks import Part, blocks_of, cases_of
from pubsub_perf.plan.cases import Case
from pubsub_perf.plan.experiment_text import parse_experiment

PRESET = parse_experiment(experiment_files.preset_text("patterns")).cases


class Quiet:
    def begin(self, case: Case) -> None:
        pass

    def step(self, what: str) -> None:
        pass

    def end(self, result: Result) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_cell(
        case: Case, hosts: object, folder: Path, *rest: object
    ) -> dict[str, Any]:
        record = {"outcome": "ok", "parameters": case.parameters(), "name": case.name}
        (folder / "subscriber-0.csv").write_text(case.name)
        write_record(folder, record)
        return record

    monkeypatch.setattr(sweep, "run_cell", run_cell)


def cells(out: Path) -> dict[str, str]:
    return {
        path.parent.relative_to(out).as_posix(): json.loads(path.read_text())["name"]
        for path in out.rglob("cell.json")
    }


def test_parts_joined_are_the_cells_of_one_run_and_no_cell_is_run_twice(
    tmp_path: Path,
) -> None:
    run_sweep(PRESET, "local", tmp_path / "one", Quiet())
    blocks = blocks_of(PRESET)
    parts = []
    for number in (1, 2, 3):
        parts.append(tmp_path / f"part-{number}")
        chosen = cases_of(Part(number, 3).of(blocks))
        run_sweep(chosen, "local", parts[-1], Quiet())

    merged = merge(parts, tmp_path / "joined")

    one, joined = cells(tmp_path / "one"), cells(tmp_path / "joined")
    assert joined == one
    assert len(one) == len(PRESET)
    assert merged.cells == merged.taken == sum(len(cells(part)) for part in parts)
    assert sorted(
        path.read_text() for path in (tmp_path / "joined").rglob("*.csv")
    ) == (sorted(one.values()))
    # Each network has been on all machines.
    networks = {case.network.name for case in PRESET}
    for part in parts:
        names = cells(part).values()
        assert {n for n in networks if any(n in name for name in names)} == networks
