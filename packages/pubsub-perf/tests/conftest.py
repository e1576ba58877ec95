"""Where Mininet cannot run its tests are skipped, and say why; under CI they fail,
because there a skipped test would go unnoticed."""

from __future__ import annotations

import os

import pytest

from pubsub_perf.hosts import isolation


@pytest.fixture(scope="session")
def _mininet_reason() -> str | None:
    return isolation.unavailable()


@pytest.fixture(autouse=True)
def _mininet_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("mininet") is None:
        return
    reason = request.getfixturevalue("_mininet_reason")
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"Mininet cannot run in CI: {reason}")
    pytest.skip(f"Mininet cannot run here: {reason}")
