"""Which cells of a folder break the thresholds of an experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.perf_sweeps import write_sweep

from pubsub_perf.experiment.threshold_check import broken_thresholds
from pubsub_perf.plan import topologies
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.experiment_text import parse_experiment

STAR = topologies.single_switch(6)
CENTRALIZED, DECENTRALIZED = (
    f"{model}/{STAR.name}" for model in ("centralized", "decentralized")
)


def asked(*thresholds: str, repeats: int = 1) -> Experiment:
    return parse_experiment(
        f"thresholds = {json.dumps(thresholds)}\nrepeats = {repeats}\n"
        "[parameters]\ntopology = 'single-switch-6'"
    )


def test_all_runs_of_a_cell_are_one(tmp_path: Path) -> None:
    write_sweep(tmp_path, [STAR], runs=3, lose=2, details=False)
    # Three runs of 2 subscribers, 3 publishers and 23 events, of which 2 were lost.
    counts = ["received = 408", "lost = 6", "lost_percent < 1.5", "duplicated = 0"]
    assert not broken_thresholds(asked(*counts, "p99_ms < 1000", repeats=3), tmp_path)
    assert broken_thresholds(asked("lost < 6", "p50_us >= 1"), tmp_path) == [
        f"{CENTRALIZED}: lost < 6: it is 6",
        f"{DECENTRALIZED}: lost < 6: it is 6",
    ]


def test_a_figure_that_too_few_events_stand_behind_breaks_its_threshold(
    tmp_path: Path,
) -> None:
    write_sweep(tmp_path, [STAR], events=10, models=["centralized"], details=False)
    broken = broken_thresholds(asked("p99_ms < 1000", "p50_ms < 1000"), tmp_path)
    assert broken == [
        f"{CENTRALIZED}: p99_ms < 1000: there is no p99_ms (the cell has 78 events; it "
        "needs 100)",
        f"{DECENTRALIZED}: p99_ms < 1000: there is no p99_ms (the cell has no successful "
        "run)",
        f"{DECENTRALIZED}: p50_ms < 1000: there is no p50_ms (the cell has no successful "
        "run)",
    ]


def test_a_saturated_machine_is_named_beside_what_it_broke(tmp_path: Path) -> None:
    write_sweep(
        tmp_path, [STAR], fidelity={("centralized", 6): "saturated"}, details=False
    )
    first, second = broken_thresholds(asked("min_us < 0.001"), tmp_path)
    assert first.endswith("(the machine was saturated: processors were 91 % busy)")
    assert "the machine" not in second


@pytest.mark.parametrize("left", ["nothing", "records"])
def test_cells_that_failed_break_all_thresholds(tmp_path: Path, left: str) -> None:
    if left == "records":
        for model in ("centralized", "decentralized"):
            folder = tmp_path / "data" / model / STAR.name
            folder.mkdir(parents=True)
            (folder / "cell.json").write_text('{"format": 1, "outcome": "failed"}')
    assert broken_thresholds(asked("lost = 0"), tmp_path) == [
        f"{CENTRALIZED}: lost = 0: there is no lost (the cell has no successful run)",
        f"{DECENTRALIZED}: lost = 0: there is no lost (the cell has no successful run)",
    ]


def test_without_thresholds_nothing_is_read(tmp_path: Path) -> None:
    assert broken_thresholds(asked(), tmp_path / "gone") == []
