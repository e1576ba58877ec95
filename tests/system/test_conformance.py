"""Our roles speak the protocol, as the conformance tool sees it; and it finds those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support import broken_clients, broken_publishers, broken_subscribers
from support.conformance import RECOVER, failures, outcomes
from support.paths import ROOT
from support.rings import full_size

from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance.runner import scenarios_of

ROLES: Final[tuple[Role, ...]] = ("subscriber", "publisher")
# Faults that end the program, with what Python says then.
_ENDS: Final = {"malformed-frames", "odd-subscriptions"}
# With a small size one fault of so many is tried.
_SAMPLE: Final = 5

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("role", ROLES)
def test_our_roles_pass_every_scenario(role: Role) -> None:
    found = outcomes(role, scenarios_of(role, options=(RECOVER,)))
    assert not failures(found), failures(found)


@pytest.mark.parametrize("role", ROLES)
def test_there_is_a_fault_for_each_scenario(role: Role) -> None:
    assert broken_publishers
    assert broken_subscribers
    names = {each.name for each in scenarios_of(role, options=(RECOVER,))}
    assert names <= broken_clients.FAULTS.keys()


@pytest.mark.parametrize("role", ROLES)
def test_each_scenario_finds_its_fault(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [str(path) for path in (ROOT / "packages").glob("*/src")]
    monkeypatch.setenv("PYTHONPATH", ":".join([str(ROOT / "tests"), *sources]))
    scenarios = scenarios_of(role, options=(RECOVER,))
    if not full_size():
        scenarios = scenarios[::_SAMPLE]
    for outcome in outcomes(role, scenarios, broken=True):
        shown = "\n".join((outcome.line(), *outcome.record))
        assert not outcome.passed, shown
        if outcome.scenario not in _ENDS:
            # It fails by what it does, and not because the fault does not fit our code.
            assert "Traceback" not in shown, shown


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
        "pass  events  it delivers what a publisher sends",
        "pass  gap  it counts events that do not come as lost",
        "2 of 2 scenarios passed",
    ]
    assert (done.stderr, done.returncode) == ("", 0)
