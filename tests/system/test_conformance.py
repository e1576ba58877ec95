"""The project's roles conform to the protocol, by the conformance tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.conformance import failures, outcomes

from pubsub_common.testing.conformance.runner import scenarios_of
from pubsub_common.testing.conformance.scenario import BROKERS, OPTIONS, RECOVER

pytestmark = pytest.mark.timeout(900)


def test_our_subscriber_passes() -> None:
    found = outcomes("subscriber", scenarios_of("subscriber", options=[BROKERS]))
    assert not failures(found), failures(found)


def test_our_subscriber_passes_when_it_recovers() -> None:
    scenarios = scenarios_of("subscriber", options=OPTIONS)
    found = outcomes("subscriber", scenarios, RECOVER)
    assert not failures(found), failures(found)


@pytest.mark.parametrize("more", [[], ["--history", "1000"]])
def test_our_publisher_passes(more: list[str]) -> None:
    found = outcomes("publisher", scenarios_of("publisher", options=[BROKERS]), *more)
    assert not failures(found), failures(found)


def test_the_tool_is_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pubsub_common.testing.conformance", "subscriber"),
            *("--only", "events", "--only", "gap", "--timeout", "60", "--"),
            *(sys.executable, "-m", "pubsub_subscriber", "-b", "{host}:{port}"),
            *("-t", "{topics}", "--json", "--flush"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.stdout.splitlines() == [
        "pass  events  it delivers the events of a publisher",
        "pass  gap  it counts missing events as lost",
        "2 of 2 scenarios passed",
    ]
    assert (done.stderr, done.returncode) == ("", 0)
