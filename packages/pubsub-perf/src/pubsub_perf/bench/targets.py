"""The comparisons of a benchmark, and the ratio that each must reach."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pubsub_perf.bench.systems import OURS, OURS_AIO, RAW
from pubsub_perf.bench.workload.scenario import Figures, Scenario

Metric = Literal[
    "rate",
    "p50_us",
    "p99_us",
    "inside_p50_us",
    "inside_p99_us",
    "cpu_s_per_million",
]
SIZES: Final = (16, 64, 256, 1024, 4096, 16_384, 65_536)
SMALL: Final = (16, 64, 256)
# Sizes for which processor time is judged: where it is the events that cost.
CPU_SIZES: Final = (64, 256)
RATE_PER_S: Final = 1000.0


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The ratio of one metric, ours over the other's, that a bar asks for: at least
    ``bound`` for rates, at most for the others; None: it asks for nothing."""

    bar: int
    metric: Metric
    bound: float | None

    def met(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        if self.bound is None:
            return True
        return ratio >= self.bound if self.metric == "rate" else ratio <= self.bound

    def worse_by(self, ratio: float, reference: float) -> float:
        """How much worse a ratio is than a reference: 0.1 is ten per cent."""
        if self.metric == "rate":
            return reference / ratio - 1
        return ratio / reference - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Two cells, run in turn: ours (``ours`` says which form of it) and another system's,
    or ours in another configuration."""

    name: str
    scenario: Scenario
    targets: tuple[Target, ...]
    against: Scenario
    system: str = RAW
    ours: str = OURS


@dataclasses.dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A metric of a comparison. Figures are medians over its repetitions, and so is the
    ratio, of the ratios within each."""

    bar: int
    name: str
    metric: Metric
    bound: float | None
    ratio: float
    lowest: float
    highest: float
    ours: float
    other: float
    lost: int
    other_lost: int
    repetitions: int
    met: bool


def comparisons() -> Iterator[Comparison]:
    """All that pairs of runs can tell."""
    for brokered in (False, True):
        route = "brokered" if brokered else "direct"
        number, bound = (2, 0.85) if brokered else (1, 0.80)
        for size in SIZES:
            scenario = Scenario("throughput", size, brokered=brokered)
            targets = [Target(number, "rate", bound)]
            if size in CPU_SIZES:
                targets.append(Target(6, "cpu_s_per_million", 1.3))
            yield Comparison(f"{route}, {size} B", scenario, tuple(targets), scenario)
    for brokered in (False, True):
        route = "brokered" if brokered else "direct"
        for subscribers in (4, 16):
            scenario = Scenario("throughput", 64, subscribers, brokered=brokered)
            target = Target(3, "rate", 0.85)
            yield Comparison(
                f"{route}, 64 B, {subscribers} subscribers",
                scenario,
                (target,),
                scenario,
            )
        for size in SMALL:
            single = Scenario("throughput", size, brokered=brokered)
            batched = dataclasses.replace(single, sending="list", receiving="batches")
            target = Target(4, "rate", 2.5)
            name = f"{route}, {size} B, batches against single events"
            yield Comparison(name, batched, (target,), single, OURS)
        for subscribers in (1, 8):
            scenario = Scenario(
                "latency", 64, subscribers, brokered=brokered, rate=RATE_PER_S
            )
            latency = (Target(5, "p50_us", 1.15), Target(5, "p99_us", 1.15))
            name = f"{route}, 64 B, {subscribers} subscribers, 1000 events/s"
            yield Comparison(name, scenario, latency, scenario)
        aio = Scenario("throughput", 64, brokered=brokered)
        target = Target(9, "rate", 0.5)
        name = f"{route}, 64 B, asyncio against threads"
        yield Comparison(name, aio, (target,), aio, OURS, OURS_AIO)
    one = Scenario("throughput", 256, 2, brokered=True, publishers=2)
    two = dataclasses.replace(one, forwarders=2)
    target = Target(8, "rate", 1.0)
    yield Comparison(
        "2 topics, 256 B, 2 forwarders against 1", two, (target,), one, OURS
    )


def results_of(
    comparison: Comparison, ours: Sequence[Figures], other: Sequence[Figures]
) -> list[ComparisonResult]:
    """What the repetitions of a comparison came to, a line for each metric."""
    found = []
    for target in comparison.targets:
        pairs = [
            (_value(mine, target.metric), _value(theirs, target.metric))
            for mine, theirs in zip(ours, other, strict=True)
        ]
        ratios = [mine / theirs for mine, theirs in pairs]
        ratio = statistics.median(ratios)
        found.append(
            ComparisonResult(
                bar=target.bar,
                name=comparison.name,
                metric=target.metric,
                bound=target.bound,
                ratio=round(ratio, 3),
                lowest=round(min(ratios), 3),
                highest=round(max(ratios), 3),
                ours=round(statistics.median(mine for mine, _ in pairs), 3),
                other=round(statistics.median(theirs for _, theirs in pairs), 3),
                lost=sum(figures.lost for figures in ours),
                other_lost=sum(figures.lost for figures in other),
                repetitions=len(ratios),
                met=target.met(ratio),
            )
        )
    return found


def _value(figures: Figures, metric: Metric) -> float:
    value = getattr(figures, metric)
    assert isinstance(value, float)
    return value
