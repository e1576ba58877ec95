"""Runs a whole benchmark: every comparison, its runs in turn."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pubsub_perf.bench import footprint, pacing, security_cost
from pubsub_perf.bench.footprint import Fact
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.targets import Comparison, ComparisonResult, results_of
from pubsub_perf.bench.workload.scenario import Figures
from pubsub_perf.experiment import environment

Say = Callable[[str], None]

_LONGER: Final = 3


def compare(
    comparison: Comparison,
    repetitions: int,
    seconds: float,
    say: Say,
    doubtful: Callable[[list[ComparisonResult]], bool] = lambda _found: False,
) -> list[ComparisonResult]:
    """Run a comparison; the order alternates between repetitions. If the result is
    ``doubtful``, the number of repetitions is tripled; all of them count.

    Raises:
        PubSubError: a run failed.
    """
    ours: list[Figures] = []
    other: list[Figures] = []

    def mine() -> None:
        ours.append(run_scenario(comparison.ours, comparison.scenario, seconds))

    def theirs() -> None:
        other.append(run_scenario(comparison.system, comparison.against, seconds))

    found: list[ComparisonResult] = []
    for most in (repetitions, _LONGER * repetitions):
        while len(ours) < most:
            say(f"{comparison.name}: {len(ours) + 1} of {most}")
            for run in (mine, theirs) if len(ours) % 2 else (theirs, mine):
                run()
        found = results_of(comparison, ours, other)
        if not doubtful(found):
            break
    return found


def facts(repetitions: int, say: Say) -> list[Fact]:
    """The figures of start, memory and registrations."""
    say("start, memory, registrations")
    return [*footprint.all_facts(repetitions), pacing.lateness(repetitions)]


def secure_facts(repetitions: int, say: Say) -> list[Fact]:
    """The same of roles with keys, against those without."""
    say("memory, registrations")
    return security_cost.facts(repetitions)


def document(
    found: Sequence[ComparisonResult],
    facts_found: Sequence[Fact],
    repetitions: int,
    seconds: float,
) -> dict[str, Any]:
    """Everything, for a JSON file."""
    machine = environment.describe()
    return {
        "format": 1,
        "processor": processor(),
        **machine,
        "repetitions": repetitions,
        "seconds": seconds,
        "comparisons": [msgspec.to_builtins(item) for item in found],
        "facts": [item.document() for item in facts_found],
    }


def processor() -> str:
    """The processor's name, as Linux tells it."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2] for line in lines if line.startswith("model name"))
    return next((name.strip() for name in named), platform.machine())
