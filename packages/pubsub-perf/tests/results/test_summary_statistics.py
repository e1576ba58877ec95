"""Summaries of raw samples, against computations that share no code with them."""

from __future__ import annotations

import dataclasses
import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf import units
from pubsub_perf.results.summary_statistics import (
    SummaryStatistics,
    footnotes,
    nearest_rank,
    statistics_of,
)

finite = st.floats(-1e12, 1e12)


def by_definition(samples: list[float], percent: Fraction) -> float:
    """The smallest sample that at least ``percent`` of the samples do not exceed."""
    return min(
        x
        for x in samples
        if Fraction(sum(y <= x for y in samples), len(samples)) * 100 >= percent
    )


def test_percentiles_of_1_to_1000_are_their_ranks() -> None:
    samples = [n / 1000 for n in range(1, 1001)]
    random.Random(1).shuffle(samples)
    statistics = statistics_of(np.array(samples), expected=1004, lost=4)
    assert statistics.mean_s == pytest.approx(0.5005)
    assert dataclasses.replace(statistics, mean_s=None) == SummaryStatistics(
        count=1000,
        not_positive=0,
        expected=1004,
        lost=4,
        min_s=0.001,
        p25_s=0.25,
        p50_s=0.5,
        p75_s=0.75,
        p90_s=0.9,
        p99_s=0.99,
        p999_s=0.999,
        max_s=1.0,
    )


@given(st.lists(finite, min_size=1, max_size=40), st.integers(1, 1000))
def test_nearest_rank_is_its_definition(samples: list[float], per_mille: int) -> None:
    found = nearest_rank(np.sort(np.array(samples)), per_mille)
    assert found == by_definition(samples, Fraction(per_mille, 10))


@given(st.lists(finite, min_size=1, max_size=200))
def test_summary_is_ordered_and_trims_nothing(samples: list[float]) -> None:
    statistics = statistics_of(np.array(samples))
    assert statistics.count == len(samples)
    assert statistics.not_positive == sum(x <= 0 for x in samples)
    assert statistics.min_s == min(samples)
    assert statistics.max_s == max(samples)
    stated = [
        statistics.min_s,
        statistics.p25_s,
        statistics.p50_s,
        statistics.p75_s,
        statistics.p90_s,
        statistics.p99_s,
        statistics.p999_s,
        statistics.max_s,
    ]
    values = [value for value in stated if value is not None]
    assert values == sorted(values)
    assert set(values) <= set(samples)
    assert statistics.mean_s == pytest.approx(
        math.fsum(samples) / len(samples), abs=1e-3
    )


@pytest.mark.parametrize(
    ("count", "p99", "p999"),
    [(1, False, False), (99, False, False), (100, True, False), (1000, True, True)],
)
def test_high_percentiles_need_samples_beyond_them(
    count: int, p99: bool, p999: bool
) -> None:
    statistics = statistics_of(np.arange(count, dtype=np.float64))
    assert (statistics.p99_s is not None) is p99
    assert (statistics.p999_s is not None) is p999
    assert statistics.p50_s is not None
    notes = " ".join(footnotes([statistics]))
    assert ("p99 is n/a" in notes) is not p99
    assert ("p99.9 is n/a" in notes) is not p999


def test_999_samples_have_no_p999() -> None:
    assert statistics_of(np.ones(999)).p999_s is None


def test_no_samples_have_no_statistics_but_a_loss() -> None:
    statistics = statistics_of(np.empty(0), expected=10, lost=10)
    assert statistics == SummaryStatistics(0, 0, 10, 10)
    assert footnotes([statistics]) == ["No percentiles without a latency."]


def test_samples_are_left_as_they_were() -> None:
    samples = np.array([3.0, 1.0, 2.0])
    statistics_of(samples)
    assert samples.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.000412, "412 µs"),
        (0.0000641, "64.1 µs"),
        (0.00131, "1.31 ms"),
        (30.84, "30.8 s"),
        (1234.5, "1,234 s"),
        (9.9996e-5, "100 µs"),
        (0.0, "0 µs"),
        (-0.0021, "-2.10 ms"),
        (None, "n/a"),
    ],
)
def test_durations_are_shown_with_three_digits(
    seconds: float | None, text: str
) -> None:
    assert units.duration(seconds) == text


@given(st.floats(1e-6, 1e6))
def test_a_shown_duration_is_the_value_within_half_a_percent(seconds: float) -> None:
    number, unit = units.duration(seconds).split()
    factor = {"µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(seconds, rel=0.0051)


def test_one_unit_suits_the_middle_of_what_is_compared() -> None:
    assert units.unit_for([0.0001, 0.0002, 0.00099]).name == "µs"
    assert units.unit_for([0.0001, 0.0002, 0.0009996]).name == "ms"
    assert units.unit_for([0.0001, 0.0002, 5.0]).name == "ms"
    assert units.unit_for([0.0001, 0.002, 5.0]).name == "ms"
    assert units.unit_for([2.0]).name == "s"
    assert units.unit_for([]).name == "µs"


@pytest.mark.parametrize(
    ("lost", "expected", "text"),
    [
        (4, 400, "4 lost of 400"),
        (0, 12000, "0 lost of 12,000"),
        (4, None, "4 lost"),
        (None, None, "loss not counted"),
        (None, 10, "loss not counted"),
    ],
)
def test_loss_is_stated_or_said_to_be_unknown(
    lost: int | None, expected: int | None, text: str
) -> None:
    assert units.loss(lost, expected) == text
