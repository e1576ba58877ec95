"""The project's roles as clients of the conformance tool."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance import runner
from pubsub_common.testing.conformance.findings import Outcome
from pubsub_common.testing.conformance.scenario import RECOVER, Scenario

_BROKER: Final = ("-b", "{host}:{port}", "-t", "{topics}")
_WORDS: Final[dict[Role, Sequence[str]]] = {
    "subscriber": (*_BROKER, "--json", "--flush"),
    "publisher": (*_BROKER, "-m", "{total}", "-s", "{interval}", "--bind-port", "0"),
}
# Enough for a machine with many tests in parallel; only a failing test waits for it.
_PATIENCE_S: Final = 30.0
_JOBS: Final = 4


def command(role: Role, *more: str, fault: str | None = None) -> list[str]:
    """The command line of a role, with a fault of `support.broken_clients` if one is
    named."""
    if fault is None:
        program = [sys.executable, "-m", f"pubsub_{role}"]
    else:
        program = [sys.executable, "-m", "support.broken_clients", fault, role]
    return [*program, *_WORDS[role], *more]


def options_of(scenario: Scenario) -> tuple[str, ...]:
    """The options of a role for a scenario."""
    return (RECOVER,) if scenario.optional == RECOVER else ()


def outcomes(
    role: Role, scenarios: Iterable[Scenario], *more: str, broken: bool = False
) -> list[Outcome]:
    """Run a role, with ``more`` options, through scenarios, each with its fault if it
    should be ``broken``."""

    def one(scenario: Scenario) -> Outcome:
        options = more or options_of(scenario)
        fault = scenario.name if broken else None
        words = command(role, *options, fault=fault)
        return runner.run(role, words, scenario, 4.0 if broken else _PATIENCE_S)

    with ThreadPoolExecutor(_JOBS) as pool:
        return list(pool.map(one, scenarios))


def failures(found: Iterable[Outcome]) -> str:
    """The failures with their transcripts, for the message of a failing test."""
    return "\n".join(
        "\n".join((each.line(), *each.record)) for each in found if not each.passed
    )
