"""The growth of a group with the number of its brokers, until its busiest one is full."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pubsub_common import validation
from pubsub_common.errors import ConfigError
from pubsub_perf.capacity import spread
from pubsub_perf.capacity.costs import EventCosts
from pubsub_perf.capacity.spread import Forwarding, Spread
from pubsub_perf.capacity.workload import Counts, Workload

MAX_BROKERS: Final = 256
# The number of random draws, of which the median counts; fewer with so many cells of topics and
# brokers that chance evens out.
_DRAWS: Final = 25
_LEAST_DRAWS: Final = 3
_CELLS: Final = 1_000_000
_ASKED: Final = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A group of so many brokers. ``speed_up`` over one broker, until the busiest is full.
    ``busiest_us``: its processor time for an average event of the group. ``copies``: how many
    brokers a publisher sends an average event to. ``connections`` for events of an average
    subscriber."""

    brokers: int
    forwarding: Forwarding
    speed_up: float
    busiest_us: float
    copies: float
    connections: float

    @property
    def events_per_s(self) -> float:
        """Events per second of the group, with one processor for each broker."""
        return 1e6 / self.busiest_us


def grow(
    workload: Workload, costs: EventCosts, counts: Sequence[int], seed: int = 1
) -> Iterator[Point]:
    """The group at each number of brokers, with each way to forward. The same seed gives the
    same points.

    Raises:
        ConfigError: a value is not valid, or is too large to compute.
    """
    workload.validate()
    costs.validate()
    for brokers in counts:
        validation.at_least("brokers", brokers)
        if brokers > MAX_BROKERS:
            raise ConfigError(f"brokers can be at most {MAX_BROKERS}: {brokers}")
    for brokers in counts:
        yield from _points(workload, costs, brokers, np.random.default_rng(seed))


def _points(
    workload: Workload, costs: EventCosts, brokers: int, draws: np.random.Generator
) -> Iterator[Point]:
    rounds = _CELLS // (workload.topics * brokers)
    found: dict[Forwarding, list[tuple[float, ...]]] = {"own": [], "split": []}
    for _ in range(min(max(rounds, _LEAST_DRAWS), _DRAWS)):
        home = spread.at_home(workload, brokers, draws)
        one = _busiest(spread.own(home.sum(axis=1, keepdims=True)), workload, costs)
        found["own"].append((*_figures(spread.own(home), one, workload, costs), 1.0))
        spreading = spread.split(home, draws)
        figures = _figures(spreading, one, workload, costs)
        connections = _connections(workload, spreading.copies, home, draws)
        found["split"].append((*figures, connections))
    for forwarding, rows in found.items():
        speed_up, busiest, copies, connections = map(float, np.median(rows, axis=0))
        yield Point(brokers, forwarding, speed_up, busiest, copies, connections)


def _busiest(spreading: Spread, workload: Workload, costs: EventCosts) -> float:
    work = spreading.work(workload.shares, costs.taken_us, costs.copy_us)
    return float(work.max())


def _figures(
    spreading: Spread, one: float, workload: Workload, costs: EventCosts
) -> tuple[float, float, float]:
    busiest = _busiest(spreading, workload, costs)
    return one / busiest, busiest, spreading.sent_by_publishers(workload.shares)


def _connections(
    workload: Workload, copies: Counts, home: Counts, draws: np.random.Generator
) -> float:
    """To how many brokers an average subscriber is connected for events, of some that are
    asked: each draws its topics, and where it takes them from."""
    brokers = home.shape[1]
    if brokers == 1:
        return 1.0
    chances = workload.chances / workload.topics_each
    chances = chances / chances.sum()
    each = workload.topics_each
    counted = []
    for asked in range(_ASKED):
        topics = draws.choice(workload.topics, each, replace=False, p=chances)
        at = copies[topics]
        own = asked % brokers
        used = {
            own if row[own] else int(draws.choice(brokers, p=row / row.sum()))
            for row in at
            if row.any()
        }
        counted.append(len(used) or 1)
    return float(np.mean(counted))
