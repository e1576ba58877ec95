"""The growth of a group, against known results."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.capacity.costs import EventCosts
from pubsub_perf.capacity.growth import Point, grow
from pubsub_perf.capacity.spread import Forwarding
from pubsub_perf.capacity.workload import Popularity, Workload


def points(workload: Workload, ratio: float, *brokers: int) -> dict[str, Point]:
    """By number of brokers and forwarding, like ``4 own``."""
    found = grow(workload, EventCosts(ratio, 1.0), brokers)
    return {f"{point.brokers} {point.forwarding}": point for point in found}


@pytest.mark.parametrize(
    ("topics", "subscribers", "each", "popularity", "ratio", "four", "eight"),
    [
        # From a simulation that draws the topics of every single subscriber.
        (1, 64, 1, "uniform", 1, 3.8, 7.2),
        (1, 64, 1, "uniform", 8, 3.0, 4.5),
        (1, 64, 1, "uniform", 15, 2.6, 3.4),
        (64, 64, 1, "uniform", 1, 3.4, 6.6),
        (64, 64, 1, "uniform", 8, 2.9, 5.5),
        (64, 256, 4, "uniform", 1, 3.4, 5.8),
        (64, 256, 4, "uniform", 8, 2.0, 2.6),
        (64, 256, 4, "uniform", 15, 1.6, 2.0),
        (64, 256, 4, "zipf", 1, 3.6, 6.7),
        (64, 256, 4, "zipf", 8, 2.9, 4.5),
        (1000, 1000, 10, "zipf", 1, 3.8, 7.5),
        (1000, 1000, 10, "zipf", 8, 3.5, 6.4),
    ],
)
def test_own_forwarding_grows_as_simulated(
    topics: int,
    subscribers: int,
    each: int,
    popularity: Popularity,
    ratio: float,
    four: float,
    eight: float,
) -> None:
    workload = Workload(topics, subscribers, each, popularity)
    found = points(workload, ratio, 4, 8)
    assert found["4 own"].speed_up == pytest.approx(four, rel=0.05)
    assert found["8 own"].speed_up == pytest.approx(eight, rel=0.05)


@pytest.mark.parametrize("forwarding", ["own", "split"])
def test_a_hot_topic_grows_by_the_formula(forwarding: Forwarding) -> None:
    found = points(Workload(1, 64), 8.0, 1, 4, 8)
    for brokers in (1, 4, 8):
        point = found[f"{brokers} {forwarding}"]
        assert point.speed_up == pytest.approx((8 + 64) / (8 + 64 / brokers))
        assert point.copies == brokers
        assert point.connections == 1
        assert point.events_per_s == pytest.approx(1e6 / (8 + 64 / brokers))


def test_one_broker_is_one_broker() -> None:
    found = points(Workload(100, 1000, 5, "zipf"), 15.0, 1)
    for point in found.values():
        assert (point.speed_up, point.connections) == (1, 1)
        assert point.copies == pytest.approx(1)


def test_split_costs_publishers_less_and_subscribers_more() -> None:
    found = points(Workload(1000, 2000, 4), 15.0, 8)
    own, split = found["8 own"], found["8 split"]
    assert split.speed_up > own.speed_up
    assert split.copies < own.copies
    assert split.connections > own.connections == 1


def test_the_same_seed_gives_the_same_points() -> None:
    workload, costs = Workload(50, 300, 3, "zipf"), EventCosts(5.0, 0.5)
    first, again = (list(grow(workload, costs, (2, 3), seed=7)) for _ in range(2))
    assert first == again
    assert first != list(grow(workload, costs, (2, 3), seed=8))


def test_a_million_subscribers_at_64_brokers() -> None:
    found = points(Workload(1000, 1_000_000, 10), 15.0, 64)
    # Each broker has 156 subscribers of each topic, so taking in is a tenth of its work.
    assert 55 < found["64 own"].speed_up < 64
    assert found["64 own"].copies == pytest.approx(64)


@pytest.mark.parametrize(
    ("workload", "brokers", "said"),
    [
        (Workload(0, 1), 1, "topics"),
        (Workload(200_000, 1), 1, "at most 100,000"),
        (Workload(2, 1, 3), 1, "topics each"),
        (Workload(1, 0), 1, "subscribers"),
        (Workload(1, 1, payload_bytes=-1), 1, "payload"),
        (Workload(1, 1, popularity="odd"), 1, "popularity"),  # type: ignore[arg-type]
        (Workload(1, 1), 0, "brokers"),
        (Workload(1, 1), 257, "at most 256"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    workload: Workload, brokers: int, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        list(grow(workload, EventCosts(1.0, 1.0), [brokers]))


def test_costs_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="costs"):
        list(grow(Workload(1, 1), EventCosts(0.0, 1.0), [1]))
