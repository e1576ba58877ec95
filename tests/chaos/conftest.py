"""The seed, and the table of results, at the end of the run."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from chaos_run import OUT, SEED, Result, chosen_seed, table

RESULTS = pytest.StashKey[list[Result]]()


@pytest.fixture(scope="session")
def chaos_results(request: pytest.FixtureRequest) -> list[Result]:
    """The place for the result of each scenario, good or not."""
    return request.config.stash.setdefault(RESULTS, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    results = config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("chaos")
    terminalreporter.line(table(results))
    terminalreporter.line(f"\nAgain the same: {SEED}={chosen_seed()}")
    if out := os.environ.get(OUT):
        path = Path(out)
        path.mkdir(parents=True, exist_ok=True)
        rows = [dataclasses.asdict(result) for result in results]
        (path / "chaos.json").write_text(json.dumps(rows, indent=1) + "\n")
        (path / "chaos.md").write_text(table(results) + "\n")
