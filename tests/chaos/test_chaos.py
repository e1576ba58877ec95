"""Faults at random times, on real processes. `make chaos` runs all of them, a usual
test run a few, once each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chaos_faults import PROCESS_FAULTS, Fault
from chaos_floods import FLOODS
from chaos_network import NETWORK_FAULTS, run_in_namespaces
from chaos_run import SEED, Result, chosen_seed, full, run

from pubsub_common.messages import Model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

FAULTS = [
    fault
    for fault in (*PROCESS_FAULTS, *FLOODS, *NETWORK_FAULTS)
    if full() or fault.quick
]


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_event_is_accounted_for(
    fault: Fault, model: Model, tmp_path: Path, chaos_results: list[Result]
) -> None:
    print(f"{SEED}={chosen_seed()}")
    if reason := fault.unavailable():
        if os.environ.get("CI"):
            pytest.fail(f"cannot be done in CI: {reason}")
        pytest.skip(f"cannot be done here: {reason}")
    runs = run_in_namespaces if fault in NETWORK_FAULTS else run
    result = runs(fault, model, tmp_path)
    chaos_results.append(result)
    assert not result.problems
    assert result.unexplained == 0
    assert result.received > 0
