"""The analysis of folders, from files to JSON; and of folders that are not right."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.synthetic_sweeps import (
    SIZES,
    GroundTruth,
    LatencyModel,
    write_sweep,
)

from pubsub_common.errors import ConfigError
from pubsub_perf.analysis import Analysis, analyse, to_json
from pubsub_perf.analysis.values.results import CellResult
from pubsub_perf.results.dataset import read_dataset

TRUTH = GroundTruth(
    LatencyModel(lambda n: 3e-4 + 1e-6 * n * n, slow_share=0.03, slow_factor=6),
    LatencyModel(lambda n: 2e-4 + 1e-5 * n),
    run_noise=0.01,
    events=150,
)
MODELS = ("centralized", "decentralized")


def analysed(folder: Path, **options: Any) -> Analysis:
    return analyse(read_dataset(folder), **({"resamples": 200} | options))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep on disk; to be read only."""
    return write_sweep(tmp_path_factory.mktemp("pristine"), TRUTH, 1)


@pytest.fixture
def sweep(pristine: Path, tmp_path: Path) -> Path:
    """A sweep on disk that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "sweep"))


def cell_folder(sweep: Path, model: str = "centralized", hosts: int = 5) -> Path:
    return sweep / "data" / model / f"single-switch-{hosts}hosts"


def change(folder: Path, **fields: Any) -> None:
    path = folder / "cell.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def result(
    analysis: Analysis, name: str = "centralized/single-switch-5hosts"
) -> CellResult:
    (found,) = (cell for cell in analysis.cells if cell.name == name)
    return found


def test_a_sweep_is_decided(pristine: Path) -> None:
    found = analysed(pristine)
    verdicts = {p.number: p.verdict for p in found.patterns}
    assert verdicts == {
        1: "supported",
        2: "supported",
        3: "supported",
        4: "supported",
        5: "contradicted",  # Quadratic in one model, linear in the other.
    }
    assert {g.decided for g in found.growth} == {"quadratic", "linear"}
    assert len(found.cells) == 2 * len(SIZES)
    assert all(cell.counted for cell in found.cells)
    assert len(found.pairs) == len(SIZES)
    assert found.problems == ()
    assert "No finished centralized cell has a record" in found.queueing.missing[0]


def test_the_same_folder_and_seed_give_the_same_analysis(pristine: Path) -> None:
    assert analysed(pristine, seed=3) == analysed(pristine, seed=3)
    assert analysed(pristine, seed=3) != analysed(pristine, seed=4)


def test_a_cell_is_its_runs(pristine: Path) -> None:
    cell = result(analysed(pristine))
    assert [run.number for run in cell.runs] == [1, 2, 3, 4, 5]
    assert {run.count for run in cell.runs} == {150}
    assert cell.p50_s is not None
    assert cell.p50_s.low is not None
    assert cell.p50_s.high is not None
    assert cell.p50_s.low < cell.p50_s.value < cell.p50_s.high
    assert cell.p99_s is not None
    assert cell.p999_s is None  # Needs 1,000 events.
    assert (cell.expected, cell.lost) == (750, 0)
    assert cell.load == "0.05 s interval, 64 B"


def test_the_analysis_as_json(pristine: Path) -> None:
    found = analysed(pristine)
    content = json.loads(to_json(found))
    assert content["format"] == 1
    assert [p["verdict"] for p in content["patterns"]] == [
        p.verdict for p in found.patterns
    ]
    assert content["cells"][0]["runs"][0]["number"] == 1
    odd = dataclasses.replace(found, margin=math.nan)
    assert json.loads(to_json(odd))["margin"] is None


@pytest.mark.parametrize("verdict", ["strained", "saturated"])
def test_degraded_cells_are_listed_and_not_counted(sweep: Path, verdict: str) -> None:
    folder = cell_folder(sweep)
    for place in (folder, *folder.glob("run-*")):
        change(place, fidelity={"verdict": verdict, "reason": "41 % pressure"})
    found = analysed(sweep)
    cell = result(found)
    assert cell.why_not == f"the machine was {verdict}: 41 % pressure"
    assert cell.p50_s is not None
    for pattern in found.patterns:
        assert cell.name not in pattern.used
        assert cell.name in {item.cell for item in pattern.left_out}
    first = found.patterns[0]
    assert "decentralized/single-switch-5hosts" not in first.used


def test_a_degraded_run_is_left_out_of_its_cell(sweep: Path) -> None:
    change(cell_folder(sweep) / "run-2", fidelity={"verdict": "strained"})
    cell = result(analysed(sweep))
    assert cell.counted
    assert [run.why_not for run in cell.runs].count(None) == 4
    assert "run 2 left out: the machine was strained" in cell.notes


def test_the_few_good_runs_of_a_bad_cell_are_not_counted(sweep: Path) -> None:
    folder = cell_folder(sweep)
    for number in (2, 3, 4):
        change(folder / f"run-{number}", fidelity={"verdict": "strained"})
    cell = result(analysed(sweep))
    assert cell.why_not == "2 of 5 runs can be counted: the machine was strained"


def test_loss_is_said(sweep: Path) -> None:
    change(cell_folder(sweep), expected=300, received=150, lost=150)
    found = analysed(sweep)
    assert (
        "centralized/single-switch-5hosts: 150 events lost (17 %): latencies are of "
        "the others"
    ) in found.problems
    assert result(found).counted


def test_a_failed_cell_is_left_out_with_its_reason(sweep: Path) -> None:
    folder = cell_folder(sweep)
    shutil.rmtree(folder)
    folder.mkdir()
    about = {"format": 1, "outcome": "failed", "reason": "no route"}
    (folder / "cell.json").write_text(json.dumps(about))
    found = analysed(sweep)
    assert result(found).why_not == "failed: no route"


def damage_nothing(sweep: Path) -> None:
    pass


def damage_no_cell_json(sweep: Path) -> None:
    for path in sweep.rglob("cell.json"):
        path.unlink()


def damage_empty_files(sweep: Path) -> None:
    for path in list(sweep.rglob("*.csv"))[::3]:
        path.write_text("")


def damage_nan_rows(sweep: Path) -> None:
    for path in sweep.rglob("*.csv"):
        path.write_text(path.read_text().replace("0.0003", "nan").replace("0.0", "x"))


def damage_missing_model(sweep: Path) -> None:
    shutil.rmtree(sweep / "data/decentralized")


def damage_one_size(sweep: Path) -> None:
    for model in MODELS:
        for hosts in SIZES[1:]:
            shutil.rmtree(cell_folder(sweep, model, hosts))


def damage_one_run(sweep: Path) -> None:
    for path in list(sweep.rglob("run-*")):
        shutil.rmtree(path)


def damage_negative(sweep: Path) -> None:
    for path in (sweep / "data/centralized").rglob("*.csv"):
        path.write_text("".join(f"p,A,-{0.1 * k}\n" for k in range(150)))


def damage_equal(sweep: Path) -> None:
    for path in sweep.rglob("*.csv"):
        path.write_text("p,A,0.001\n" * 150)


def damage_few_events(sweep: Path) -> None:
    for path in sweep.rglob("*.csv"):
        path.write_text("p,A,0.001\np,A,0.002\n")


def damage_odd_json(sweep: Path) -> None:
    odd: list[Any] = [None, 7, "x", [], {}, {"rule": 3}, True, -1, 1e400]
    names = ("parameters", "warmup", "broker", "fidelity", "hosts", "topology", "run")
    for i, path in enumerate(sweep.rglob("cell.json")):
        fields = {name: odd[(i + k) % len(odd)] for k, name in enumerate(names)}
        path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("damage", "decided"),
    [
        (damage_nothing, True),
        (damage_no_cell_json, True),
        (damage_empty_files, True),
        (damage_nan_rows, True),
        (damage_missing_model, False),
        (damage_one_size, True),
        (damage_one_run, True),
        (damage_negative, False),
        (damage_equal, False),
        (damage_few_events, False),
        (damage_odd_json, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_odd_data_is_analysed(
    sweep: Path, damage: Callable[[Path], None], decided: bool
) -> None:
    damage(sweep)
    found = analysed(sweep)
    assert len(found.patterns) == 5
    json.loads(to_json(found))
    verdict = found.patterns[0].verdict
    if decided and damage is not damage_nan_rows:
        assert verdict == "supported"
    elif not decided:
        assert verdict == "undecided"


def test_folders_of_others_are_analysed(tmp_path: Path) -> None:
    (tmp_path / "alice.csv").write_text("ip,topic,delta\np,A,0.001\n")
    found = analysed(tmp_path)
    assert found.cells[0].why_not == "neither centralized nor decentralized"
    assert {p.verdict for p in found.patterns} == {"undecided"}


def test_nothing_to_analyse_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nothing to analyse: "):
        read_dataset(tmp_path, "analyse")


def test_no_value_is_lost_to_the_clock(sweep: Path) -> None:
    folder = cell_folder(sweep)
    rows = "".join(f"p,A,{x}\n" for x in np.linspace(-0.1, 0.05, 150))
    (folder / "subscriber-0.csv").write_text(rows)
    cell = result(analysed(sweep))
    assert cell.runs[0].why_not == "median latency of 0 or less: a clock fault"
    assert cell.runs[0].p50_s is not None
