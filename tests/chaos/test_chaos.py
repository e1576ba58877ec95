"""Faults at random times, on real processes. `make chaos` runs all of them, a normal
test run a few, once each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chaos_choice import Scenario, scenarios
from chaos_network import NETWORK_FAULTS, run_in_namespaces
from chaos_run import SEED, Result, chosen_seed, full, run

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("scenario", scenarios(full=full()), ids=str)
def test_every_event_is_accounted_for(
    scenario: Scenario, tmp_path: Path, chaos_results: list[Result]
) -> None:
    print(f"{SEED}={chosen_seed()}")
    fault = scenario.fault
    if reason := fault.unavailable():
        if os.environ.get("CI"):
            pytest.fail(f"cannot be done in CI: {reason}")
        pytest.skip(f"cannot be done here: {reason}")
    runs = run_in_namespaces if fault in NETWORK_FAULTS else run
    result = runs(
        fault, scenario.model, tmp_path, kind=scenario.kind, times=scenario.times
    )
    chaos_results.append(result)
    assert not result.problems
    assert result.unexplained == 0
    assert result.received > 0
