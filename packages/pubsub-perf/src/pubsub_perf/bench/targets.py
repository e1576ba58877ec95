"""What is compared with what, and how far apart it may be. Core."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pubsub_perf.bench.runner import Cell, Figures
from pubsub_perf.bench.systems import OURS, OURS_AIO, RAW

Metric = Literal["rate", "p50_us", "p99_us", "cpu_s_per_million"]
SIZES: Final = (16, 64, 256, 1024, 4096, 16_384, 65_536)
SMALL: Final = (16, 64, 256)
# Sizes for which processor time is judged: where it is the events that cost.
CPU_SIZES: Final = (64, 256)
RATE_PER_S: Final = 1000.0


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
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
    or ours in another way."""

    name: str
    cell: Cell
    needs: tuple[Need, ...]
    against: Cell
    system: str = RAW
    ours: str = OURS


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
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
        way = "brokered" if brokered else "direct"
        number, bound = (2, 0.85) if brokered else (1, 0.80)
        for size in SIZES:
            cell = Cell("throughput", size, brokered=brokered)
            needs = [Need(number, "rate", bound)]
            if size in CPU_SIZES:
                needs.append(Need(6, "cpu_s_per_million", 1.3))
            yield Comparison(f"{way}, {size} B", cell, tuple(needs), cell)
    for brokered in (False, True):
        way = "brokered" if brokered else "direct"
        for subscribers in (4, 16):
            cell = Cell("throughput", 64, subscribers, brokered=brokered)
            need = Need(3, "rate", 0.85)
            yield Comparison(
                f"{way}, 64 B, {subscribers} subscribers", cell, (need,), cell
            )
        for size in SMALL:
            single = Cell("throughput", size, brokered=brokered)
            batched = dataclasses.replace(single, batched=True)
            need = Need(4, "rate", 2.5)
            name = f"{way}, {size} B, batches against single events"
            yield Comparison(name, batched, (need,), single, OURS)
        for subscribers in (1, 8):
            cell = Cell("latency", 64, subscribers, brokered=brokered, rate=RATE_PER_S)
            latency = (Need(5, "p50_us", 1.15), Need(5, "p99_us", 1.15))
            name = f"{way}, 64 B, {subscribers} subscribers, 1000 events/s"
            yield Comparison(name, cell, latency, cell)
        aio = Cell("throughput", 64, brokered=brokered)
        need = Need(9, "rate", 0.5)
        name = f"{way}, 64 B, asyncio against threads"
        yield Comparison(name, aio, (need,), aio, OURS, OURS_AIO)
    one = Cell("throughput", 256, 2, brokered=True, publishers=2)
    two = dataclasses.replace(one, forwarders=2)
    need = Need(8, "rate", 1.0)
    yield Comparison("2 topics, 256 B, 2 forwarders against 1", two, (need,), one, OURS)


def outcomes(
    comparison: Comparison, ours: Sequence[Figures], other: Sequence[Figures]
) -> list[Outcome]:
    """What the repetitions of a comparison came to, a line for each metric."""
    found = []
    for need in comparison.needs:
        pairs = [
            (_value(mine, need.metric), _value(theirs, need.metric))
            for mine, theirs in zip(ours, other, strict=True)
        ]
        ratios = [mine / theirs for mine, theirs in pairs]
        ratio = statistics.median(ratios)
        found.append(
            Outcome(
                bar=need.bar,
                name=comparison.name,
                metric=need.metric,
                bound=need.bound,
                ratio=round(ratio, 3),
                lowest=round(min(ratios), 3),
                highest=round(max(ratios), 3),
                ours=round(statistics.median(mine for mine, _ in pairs), 3),
                other=round(statistics.median(theirs for _, theirs in pairs), 3),
                lost=sum(figures.lost for figures in ours),
                other_lost=sum(figures.lost for figures in other),
                repetitions=len(ratios),
                met=need.met(ratio),
            )
        )
    return found


def _value(figures: Figures, metric: Metric) -> float:
    value = getattr(figures, metric)
    assert isinstance(value, float)
    return value
