"""When events are due."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pubsub_publisher.pacing.schedule import periodic, poisson

starts = st.integers(min_value=0, max_value=2**63)
periods = st.integers(min_value=0, max_value=10**15)
seeds = st.integers(min_value=0, max_value=2**64)


def first(number: int, times: Iterator[int]) -> list[int]:
    return list(itertools.islice(times, number))


def test_the_first_event_is_due_at_the_start() -> None:
    assert next(periodic(1_000, 10)) == 1_000


@given(starts, periods)
def test_each_event_is_due_one_period_after_the_one_before(
    start_ns: int, period_ns: int
) -> None:
    due = first(100, periodic(start_ns, period_ns))

    assert due == [start_ns + number * period_ns for number in range(100)]


def test_with_no_period_all_events_are_due_at_once() -> None:
    assert first(1000, periodic(5, 0)) == [5] * 1000
    assert first(1000, poisson(5, 0, seed=1)) == [5] * 1000


@given(starts, periods, seeds)
def test_equal_seeds_give_equal_times(start_ns: int, period_ns: int, seed: int) -> None:
    due = first(100, poisson(start_ns, period_ns, seed))

    assert due == first(100, poisson(start_ns, period_ns, seed))
    assert due == sorted(due)
    assert due[0] >= start_ns


def test_without_a_seed_times_differ() -> None:
    assert first(10, poisson(0, 10**9, None)) != first(10, poisson(0, 10**9, None))


def test_random_gaps_are_exponential() -> None:
    due = first(20_000, poisson(0, 1_000_000, seed=7))
    gaps = [due[0], *(after - before for before, after in itertools.pairwise(due))]

    assert abs(statistics.mean(gaps) / 1_000_000 - 1) < 0.03
    # The standard deviation of an exponential distribution is its mean, its median ln 2.
    assert abs(statistics.stdev(gaps) / 1_000_000 - 1) < 0.05
    assert abs(statistics.median(gaps) / 693_147 - 1) < 0.05
