"""Checks the analysis: how often its verdicts are right on sweeps with a known truth.

To print the table: ``PYTHONPATH=tests .venv/bin/python -m support.analysis_scenarios``.

Each scenario is a truth and the right verdict on one pattern; `SCENARIOS` has true,
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
    """A truth, and the right verdict on a pattern."""

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
    yield Scenario(1, "20 % slower, 2 runs of 7 networks", "supported", few)
    few = GroundTruth(*_same(line, 1.2), runs=2, sizes=(17,))
    yield Scenario(1, "20 % slower, 2 runs of 1 network", "undecided", few)
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
    wild = GroundTruth(*_same(_power(300, 0.5, 1.8), 1.2), run_noise=0.5)
    yield Scenario(5, "nearly quadratic, noisy", "undecided", wild)


def _knee(n: float) -> float:
    return 5e-4 if n < 40 else 5e-3


def _noisy_scenarios() -> Iterator[Scenario]:
    """Truths with noise that the runs alone do not show: networks differ in every run,
    rounds drift, runs depend on each other, some are outliers, some cells have one run.
    """
    line = _power(300, 10)
    flat = _power(500, 0)
    faster = LatencyModel(_power(300, 20)), LatencyModel(_power(300, 4))
    for noise in (0.05, 0.1, 0.2):
        for pattern, name, law in (
            (1, "no difference", _same(line)),
            (3, "both constant", _same(flat, 1.2)),
            (4, "the same factor", _same(line, 1.5)),
        ):
            truth = GroundTruth(*law, network_noise=noise)
            name = f"{name}, networks differ by {100 * noise:g} %"
            yield Scenario(pattern, name, "undecided", truth)
    for pattern, name, law in (
        (1, "20 % slower, networks differ by 5 %", _same(line, 1.2)),
        (3, "both grow, networks differ by 5 %", _same(line, 1.2)),
        (4, "faster, networks differ by 5 %", faster),
    ):
        truth = GroundTruth(*law, network_noise=0.05)
        yield Scenario(pattern, name, "supported", truth)
    for name, more in (
        ("rounds drift", {"round_drift": 0.2}),
        ("runs depend", {"autocorrelation": 0.9}),
        ("outlier runs", {"bad_runs": 0.1}),
    ):
        for pattern, truth_name, law in (
            (1, "no difference", _same(line)),
            (2, "same tail", _same(line)),
            (3, "both constant", _same(flat)),
            (4, "the same factor", _same(line, 1.5)),
        ):
            truth = GroundTruth(*law, runs=3, **more)  # type: ignore[arg-type]
            yield Scenario(pattern, f"{truth_name}, {name}", "undecided", truth)
        for pattern, truth_name, law in (
            (1, "20 % slower", _same(line, 1.2)),
            (3, "both grow", _same(line, 1.2)),
            (4, "faster", faster),
        ):
            truth = GroundTruth(*law, **more)  # type: ignore[arg-type]
            yield Scenario(pattern, f"{truth_name}, {name}", "supported", truth)
    drifting = GroundTruth(*_same(line, 1.1), round_drift=0.2)
    yield Scenario(1, "10 % slower, rounds drift", "supported", drifting)
    one = GroundTruth(*_same(line, 1.2), runs=1, sizes=tuple(range(5, 66, 5)))
    yield Scenario(1, "20 % slower, 1 run of 13 networks", "supported", one)
    one = GroundTruth(*_same(line), runs=1, network_noise=0.1)
    yield Scenario(1, "no difference, 1 run of 7 networks", "undecided", one)
    for pattern, name, law in ((3, "both grow", _same(line)), (4, "faster", faster)):
        one = GroundTruth(*law, runs=1)
        yield Scenario(pattern, f"{name}, 1 run of 7 networks", "supported", one)
    one = GroundTruth(*_same(line, 1.5), runs=1, network_noise=0.1)
    yield Scenario(4, "the same factor, 1 run of 7 networks", "undecided", one)


# The factor of the jump at the two largest sizes; from tenfold on no shape fits.
_JUMPS: Final[tuple[tuple[float, Verdict], ...]] = (
    (1.5, "undecided"),
    (2, "undecided"),
    (10, "contradicted"),
)


def _knees() -> Iterator[Scenario]:
    """Truths with a jump or a pole of the latency."""
    queue = _queue(300, 30, 75)
    # Two of seven networks are not the largest by more than chance.
    knee = GroundTruth(*_same(_knee))
    yield Scenario(3, "both jump at 2 of 7 sizes", "undecided", knee)
    many = GroundTruth(*_same(_knee), sizes=tuple(range(9, 69, 5)))
    yield Scenario(3, "both jump at 6 of 12 sizes", "supported", many)
    yield Scenario(3, "both saturate", "supported", GroundTruth(*_same(queue)))
    jumps = GroundTruth(*_same(_knee, 1.5), network_noise=0.1)
    yield Scenario(4, "the same factor, both jump", "undecided", jumps)
    saturate = GroundTruth(*_same(queue, 1.5), network_noise=0.1)
    yield Scenario(4, "the same factor, both saturate", "undecided", saturate)
    for factor, expected in _JUMPS:
        jump = GroundTruth(*_same(lambda n, by=factor: 1e-3 * (by if n > 40 else 1)))  # type: ignore[misc]
        yield Scenario(5, f"jump by {factor:g}", expected, jump)
    differ = GroundTruth(*_same(_power(300, 1, 2)), network_noise=0.2)
    yield Scenario(5, "quadratic, networks differ by 20 %", "undecided", differ)
    pole = GroundTruth(LatencyModel(queue), LatencyModel(_power(300, 10)))
    yield Scenario(4, "saturation against a line", "supported", pole)


SCENARIOS: Final = (*_scenarios(), *_noisy_scenarios(), *_knees())


def judge(scenario: Scenario, seed: int) -> PatternResult:
    """The pattern's result on one draw."""
    samples = select(draw(scenario.ground_truth, seed), ())
    evidence = Evidence.of(samples, MARGIN)
    decisions: dict[int, Callable[[], PatternResult]] = {
        1: lambda: model_comparison.direct_is_smaller(evidence),
        2: lambda: model_comparison.centralized_has_extremes(evidence),
        3: lambda: host_scaling.grows_with_hosts(evidence),
        4: lambda: host_scaling.grows_faster_centralized(evidence),
        5: lambda: host_scaling.is_quadratic(evidence, growth_results(samples)),
    }
    return decisions[scenario.pattern]()


def verdicts(
    scenario: Scenario, draws: int = 100, first_seed: int = 1
) -> Counter[Verdict]:
    """The verdicts on draws with the seeds from ``first_seed`` on."""
    seeds = range(first_seed, first_seed + draws)
    return Counter(judge(scenario, seed).verdict for seed in seeds)


def wrong(scenario: Scenario, found: Counter[Verdict]) -> int:
    """The number of verdicts that are decided wrongly."""
    decided: tuple[Verdict, ...] = ("supported", "contradicted")
    return sum(found[v] for v in decided if v != scenario.expected)


def table(draws: int = 100, first_seed: int = 1) -> Iterator[str]:
    """The synthetic-truth table, line by line as it is computed."""
    yield (
        f"{'pattern: truth':<44}{'expected':<14}{'right':>6}{'wrong':>6}  "
        f"verdicts of {draws} draws"
    )
    for scenario in SCENARIOS:
        found = verdicts(scenario, draws, first_seed)
        told = ", ".join(f"{verdict} {count}" for verdict, count in found.most_common())
        name = f"{scenario.pattern}: {scenario.name}"
        right = found[scenario.expected]
        yield (
            f"{name:<44}{scenario.expected:<14}{right:>6}"
            f"{wrong(scenario, found):>6}  {told}"
        )


def main(lines: Sequence[str] | None = None) -> None:
    """Print the table."""
    import sys

    for line in table() if lines is None else lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
