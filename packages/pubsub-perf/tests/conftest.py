"""Where Mininet or a browser cannot run their tests are skipped, and say why; under CI
they fail, because there a skipped test would go unnoticed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pubsub_perf.hosts import namespaces

sys.path.insert(0, str(Path(__file__).parent))
from perf_browser import Browser, find_browser


@pytest.fixture(scope="session")
def _mininet_reason() -> str | None:
    return namespaces.unavailable()


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a new profile, for all tests that ask for one."""
    program = find_browser()
    if program is None:
        why = "there is no Chromium (make browser installs it)"
        if os.environ.get("CI"):
            pytest.fail(f"no browser in CI: {why}")
        pytest.skip(f"no browser here: {why}")
    profile = tmp_path_factory.mktemp("browser") / "profile"
    profile.mkdir()
    with Browser(program, profile) as browser:
        yield browser
