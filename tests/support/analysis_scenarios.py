"""Checks the analysis: how often its verdicts are right on sweeps whose truth is known.

To print the table: ``PYTHONPATH=tests .venv/bin/python -m support.analysis_scenarios``.

Each scenario is a truth and the verdict that one pattern asks for; `SCENARIOS` has true,
false and undecidable ones of every pattern.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pubsub_perf.analysis.growth.series import growth_results
from pubsub_perf.analysis.patterns import host_scaling, model_comparison
from pubsub_perf.analysis.patterns.evidence import Evidence
from pubsub_perf.analysis.patterns.model_pairs import pairs_of
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.stats.verdicts import MARGIN
from pubsub_perf.analysis.values.results import PatternResult, Verdict
from pubsub_perf.analysis.values.samples import select
from support.synthetic_sweeps import (
    SIZES,
    GroundTruth,
    LatencyByHosts,
    LatencyModel,
    draw,
)


def _power(fixed_us: float, slope_us: float, power: float = 1.0) -> LatencyByHosts:
    return lambda n: (fixed_us + slope_us * n**power) * 1e-6


def _queue(fixed_us: float, slope_us: float, full_at: float) -> LatencyByHosts:
    return lambda n: (fixed_us + slope_us * n / (1 - (n / full_at) ** 2)) * 1e-6


def _same(
    median_s: LatencyByHosts, ratio: float = 1.0, **more: float
) -> tuple[LatencyModel, LatencyModel]:
    return LatencyModel(lambda n: ratio * median_s(n), **more), LatencyModel(
        median_s, **more
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A truth, and the verdict on a pattern that it asks for."""

    pattern: int
    name: str
    expected: Verdict
    ground_truth: GroundTruth


def _scenarios() -> Iterator[Scenario]:
    line = _power(300, 10)
    flat = _power(500, 0)
    yield Scenario(1, "20 % slower", "supported", GroundTruth(*_same(line, 1.2)))
    yield Scenario(1, "20 % faster", "contradicted", GroundTruth(*_same(line, 1 / 1.2)))
    yield Scenario(1, "no difference", "undecided", GroundTruth(*_same(line)))
    bad = GroundTruth(*_same(line), bad_runs=0.1)
    yield Scenario(1, "no difference, bad runs", "undecided", bad)
    few = GroundTruth(*_same(line, 1.2), runs=2)
    yield Scenario(1, "20 % slower, 2 runs", "undecided", few)
    crossing = GroundTruth(LatencyModel(_power(900, 2)), LatencyModel(_power(300, 20)))
    yield Scenario(1, "smaller or larger by size", "undecided", crossing)

    heavy, light = (
        LatencyModel(line, slow_share=0.03, slow_factor=6),
        LatencyModel(line),
    )
    for events in (200, 1000):  # p99.9 needs 1,000
        heavier = GroundTruth(heavy, light, events=events)
        yield Scenario(2, f"heavier tail, {events} events", "supported", heavier)
    lighter = GroundTruth(light, heavy, events=1000)
    yield Scenario(2, "lighter tail", "contradicted", lighter)
    yield Scenario(2, "same tail", "undecided", GroundTruth(light, light, events=1000))
    slow = GroundTruth(*_same(line, 3.0), events=1000)
    yield Scenario(2, "same tail, slower", "undecided", slow)
    few_events = GroundTruth(heavy, light, events=60)
    yield Scenario(2, "heavier tail, 60 events", "undecided", few_events)

    falling = _power(200, 3000, -1)
    yield Scenario(3, "both grow", "supported", GroundTruth(*_same(line, 1.2)))
    yield Scenario(3, "both fall", "contradicted", GroundTruth(*_same(falling, 1.2)))
    one_grows = GroundTruth(LatencyModel(line), LatencyModel(flat))
    yield Scenario(3, "one grows, one is constant", "undecided", one_grows)
    yield Scenario(3, "both constant", "undecided", GroundTruth(*_same(flat, 1.2)))
    one_size = GroundTruth(*_same(line, 1.2), sizes=(17,))
    yield Scenario(3, "one size", "undecided", one_size)

    faster, slower = LatencyModel(_power(300, 20)), LatencyModel(_power(300, 4))
    yield Scenario(4, "faster", "supported", GroundTruth(faster, slower))
    yield Scenario(4, "slower", "contradicted", GroundTruth(slower, faster))
    yield Scenario(4, "the same factor", "undecided", GroundTruth(*_same(line, 1.5)))
    noisy = GroundTruth(
        LatencyModel(_power(300, 10)), LatencyModel(_power(300, 9)), run_noise=0.3
    )
    yield Scenario(4, "hardly faster, noisy", "undecided", noisy)

    square = _power(300, 1, 2)
    yield Scenario(5, "quadratic", "supported", GroundTruth(*_same(square, 1.2)))
    exact = GroundTruth(*_same(line, 1.2), run_noise=0.03)
    yield Scenario(5, "linear", "contradicted", exact)
    queue = _queue(300, 30, 75)
    yield Scenario(5, "saturation", "contradicted", GroundTruth(*_same(queue, 1.2)))
    exact = GroundTruth(*_same(flat, 1.2), run_noise=0.02)
    yield Scenario(5, "constant", "contradicted", exact)
    five = GroundTruth(*_same(square, 1.2), sizes=SIZES[:5])
    yield Scenario(5, "quadratic, 5 sizes", "undecided", five)
    wild = GroundTruth(*_same(_power(300, 3, 1.3), 1.2), run_noise=0.5)
    yield Scenario(5, "slightly curved, noisy", "undecided", wild)


SCENARIOS: Final = tuple(_scenarios())


def judge(scenario: Scenario, seed: int, resamples: int = 200) -> PatternResult:
    """The pattern's result on one draw."""
    resampling = Resampling(seed, resamples)
    samples = select(draw(scenario.ground_truth, seed), ())
    if scenario.pattern in (1, 2):
        evidence = Evidence.of(samples, resampling, MARGIN)
    else:  # Decided without a look at single pairs.
        found, alone = pairs_of(samples)
        evidence = Evidence(samples, found, alone, (), resampling, MARGIN)
    decisions: dict[int, Callable[[], PatternResult]] = {
        1: lambda: model_comparison.direct_is_smaller(evidence),
        2: lambda: model_comparison.centralized_has_extremes(evidence),
        3: lambda: host_scaling.grows_with_hosts(evidence),
        4: lambda: host_scaling.grows_faster_centralized(evidence),
        5: lambda: host_scaling.is_quadratic(evidence, growth_results(samples)),
    }
    return decisions[scenario.pattern]()


def verdicts(
    scenario: Scenario, draws: int = 100, resamples: int = 200
) -> Counter[Verdict]:
    """The verdicts on draws with the seeds from 1 on."""
    return Counter(
        judge(scenario, seed, resamples).verdict for seed in range(1, draws + 1)
    )


def table(draws: int = 100, resamples: int = 200) -> Iterator[str]:
    """The synthetic-truth table, line by line as it is computed."""
    yield f"{'pattern: truth':<36}{'expected':<14}{'right of ' + str(draws):<14}verdicts"
    for scenario in SCENARIOS:
        found = verdicts(scenario, draws, resamples)
        told = ", ".join(f"{verdict} {count}" for verdict, count in found.most_common())
        name = f"{scenario.pattern}: {scenario.name}"
        right = found[scenario.expected]
        yield f"{name:<36}{scenario.expected:<14}{right:<14}{told}"


def main(lines: Sequence[str] | None = None) -> None:
    """Print the table."""
    import sys

    for line in table() if lines is None else lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
