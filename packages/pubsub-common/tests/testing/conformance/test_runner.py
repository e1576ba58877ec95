from __future__ import annotations

import sys
import threading

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.runner import run, run_all, scenarios_of
from pubsub_common.testing.conformance.scenario import Scenario
from pubsub_common.testing.conformance.stage import Stage

IDLE = [sys.executable, "-c", "import time; time.sleep(600)"]


def scenario(name: str) -> Scenario:
    (found,) = scenarios_of("subscriber", [name])
    return found


def broken(stage: Stage) -> None:
    stage.start("A")
    raise LookupError("of the script")


def test_a_fault_of_a_scenario_is_a_line_and_not_the_end() -> None:
    own = Scenario("own", "it does", page.EVENTS, ("subscriber",), broken)
    outcome = run("subscriber", IDLE, own, 1.0)
    assert not outcome.passed
    assert (
        "LookupError('of the script'), a fault of pubsub-conformance" in outcome.line()
    )
    assert any("of the script" in line for line in outcome.record)


def test_a_command_that_cannot_be_started_is_no_outcome() -> None:
    with pytest.raises(ConfigError, match="cannot start"):
        list(run_all("subscriber", ["./no-such-program"], [scenario("events")]))


def test_a_client_that_says_nothing_fails_in_time() -> None:
    outcome = run("subscriber", IDLE, scenario("registers"), 0.2)
    assert "expected `register` within 0.2 s; seen: nothing" in outcome.line()


def test_it_ends_when_it_is_told_to() -> None:
    stopping = threading.Event()
    threading.Timer(0.2, stopping.set).start()
    every = scenarios_of("subscriber")
    assert not list(run_all("subscriber", IDLE, every, stopping=stopping))


def test_scenarios_are_chosen_by_name_and_without() -> None:
    every = [each.name for each in scenarios_of("publisher")]
    assert [
        each.name for each in scenarios_of("publisher", without=[every[0]])
    ] == every[1:]
    assert [each.name for each in scenarios_of("publisher", ["ends"])] == ["ends"]
    with pytest.raises(ConfigError, match="no scenario 'gap' for a publisher"):
        scenarios_of("publisher", without=["gap"])
