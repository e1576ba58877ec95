"""Each scenario of the conformance tool finds a fault of a client."""

from __future__ import annotations

from typing import Final

import pytest
from support import broken_clients, broken_publishers, broken_subscribers
from support.conformance import outcomes
from support.paths import ROOT
from support.rings import full_size

from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance.runner import scenarios_of
from pubsub_common.testing.conformance.scenario import OPTIONS

ROLES: Final[tuple[Role, ...]] = ("subscriber", "publisher")
# Faults that end the program, with Python's error.
_ENDS: Final = {"malformed-frames", "odd-subscriptions", "odd-brokers"}
# In the small size one fault of this many is tried.
_SAMPLE: Final = 5

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("role", ROLES)
def test_there_is_a_fault_for_each_scenario(role: Role) -> None:
    assert broken_publishers
    assert broken_subscribers
    names = {each.name for each in scenarios_of(role, options=OPTIONS)}
    assert names <= broken_clients.FAULTS.keys()


@pytest.mark.parametrize("role", ROLES)
def test_each_scenario_finds_its_fault(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [str(path) for path in (ROOT / "packages").glob("*/src")]
    monkeypatch.setenv("PYTHONPATH", ":".join([str(ROOT / "tests"), *sources]))
    scenarios = scenarios_of(role, options=OPTIONS)
    if not full_size():
        scenarios = scenarios[::_SAMPLE]
    for outcome in outcomes(role, scenarios, broken=True):
        shown = "\n".join((outcome.line(), *outcome.record))
        assert not outcome.passed, shown
        if outcome.scenario not in _ENDS:
            # It fails by its behavior, and not because the fault does not match our
            # code.
            assert "Traceback" not in shown, shown
