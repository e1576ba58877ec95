"""Verdicts on sweeps with a known truth: right in at least 95 of 100 draws.

`make test` tries the first 20 draws, `make test-long` all 100. A seed decides each draw.

The table that `pytest -s` shows is also printed by
``python -m support.analysis_scenarios`` in the folder ``tests``.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from support import analysis_scenarios as scenarios
from support import comparison_scenarios as comparison
from support.analysis_scenarios import SCENARIOS, Scenario
from support.comparison_scenarios import Change
from support.rings import full_size
from support.synthetic_sweeps import draw, write_sweep

from pubsub_perf.analysis import analyse
from pubsub_perf.analysis.values.results import Verdict
from pubsub_perf.results.dataset import read_dataset

DRAWS = 100 if full_size() else 20


def test_every_pattern_is_tried_true_false_and_undecidable() -> None:
    tried = {(scenario.pattern, scenario.expected) for scenario in SCENARIOS}
    assert tried == {(p, verdict) for p in range(1, 6) for verdict in get_args(Verdict)}


@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda s: f"{s.pattern}: {s.name}: {s.expected}"
)
def test_the_truth_is_found(scenario: Scenario) -> None:
    found = scenarios.verdicts(scenario, DRAWS)
    print(f"{scenario.pattern}: {scenario.name}: {dict(found)}")
    assert scenarios.wrong(scenario, found) <= 0.05 * DRAWS
    assert found[scenario.expected] >= 0.95 * DRAWS


@pytest.mark.parametrize("change", comparison.CHANGES, ids=lambda c: c.name)
def test_what_is_slower_is_found_and_nothing_else(change: Change) -> None:
    found = comparison.found(change, DRAWS)
    print(f"{change.name}: {found} of {DRAWS}")
    if change.slower:
        assert found >= 0.95 * DRAWS
    else:
        assert found <= 0.05 * DRAWS


def test_a_seed_decides_a_draw() -> None:
    ground_truth = SCENARIOS[0].ground_truth
    first, again, other = (draw(ground_truth, seed)[0].medians for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_files_of_a_draw_give_the_same_verdict(tmp_path: Path) -> None:
    scenario = SCENARIOS[0]
    found = analyse(
        read_dataset(write_sweep(tmp_path, scenario.ground_truth, 1)), seed=1
    )
    assert found.patterns[0].verdict == scenarios.judge(scenario, 1).verdict
    assert found.problems == ()


def test_the_table_has_a_line_for_each_truth() -> None:
    lines = list(scenarios.table(draws=1))
    assert len(lines) == 1 + len(SCENARIOS)
    assert lines[1].startswith("1: 20 % slower")
