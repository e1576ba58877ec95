"""The latency histogram, checked against the sorted values."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.measurement.latency_histogram import LatencyHistogram, format_ns

VALUES = st.integers(-(2**40), 2**60) | st.integers(-10, 1000)


def nearest_rank(values: list[int], percent: str) -> int:
    rank = -(-len(values) * Fraction(percent) // 100)
    return sorted(values)[max(1, int(rank)) - 1]


@given(
    st.lists(VALUES, min_size=1), st.sampled_from(["0", "1", "50", "90", "99.9", "100"])
)
def test_a_percentile_is_at_most_one_128th_below_the_exact_value(
    values: list[int], percent: str
) -> None:
    exact = nearest_rank(values, percent)

    found = LatencyHistogram(values).percentile_ns(float(percent))

    assert found is not None
    if exact <= 0:
        assert found == 0
    else:
        assert exact - exact / 128 <= found <= exact


@pytest.mark.parametrize("bits", [8, 20, 40, 60])
def test_the_error_bound_holds_where_a_bucket_is_widest(bits: int) -> None:
    value = (129 << bits) - 1

    found = LatencyHistogram([value]).percentile_ns(50)

    assert found == 128 << bits


@given(st.integers(1, 255))
def test_small_values_are_exact(value: int) -> None:
    assert LatencyHistogram([value]).percentile_ns(50) == value


@given(st.lists(VALUES, min_size=1))
def test_the_summary_is_ordered_and_its_ends_are_exact(values: list[int]) -> None:
    summary = LatencyHistogram(values).summary_ns()

    tail = ["p99"] if len(values) >= 100 else []
    assert list(summary) == ["min", "p50", "p90", *tail, "max"]
    assert list(summary.values()) == sorted(summary.values())
    assert (summary["min"], summary["max"]) == (min(values), max(values))


@pytest.mark.parametrize(
    ("count", "tail"),
    [(99, []), (100, ["p99"]), (999, ["p99"]), (1000, ["p99", "p99.9"])],
)
def test_a_percentile_is_told_from_so_many_values_on(
    count: int, tail: list[str]
) -> None:
    summary = LatencyHistogram(range(count)).summary_ns()

    assert list(summary) == ["min", "p50", "p90", *tail, "max"]


@given(st.lists(VALUES))
def test_nothing_is_dropped(values: list[int]) -> None:
    histogram = LatencyHistogram(values)

    assert histogram.count == len(values)
    assert histogram.not_positive == sum(value <= 0 for value in values)


def test_memory_does_not_grow_with_the_number_of_values() -> None:
    histogram = LatencyHistogram(range(1, 200_000))

    assert len(histogram._buckets) < 2_000


@pytest.mark.parametrize("thousands", [41, 82, 83, 165])
def test_the_rank_of_a_fraction_of_a_percent_is_not_one_too_high(
    thousands: int,
) -> None:
    # So many times 99.9 divided by 100 is a whole number, but not in floating point.
    ones = thousands * 999
    histogram = LatencyHistogram([1] * ones + [2] * thousands)

    assert histogram.percentile_ns(99.9) == 1


def test_without_values_there_is_nothing_to_tell() -> None:
    histogram = LatencyHistogram()

    assert histogram.percentile_ns(50) is None
    assert histogram.summary_ns() == {}
    assert (histogram.min_ns, histogram.max_ns, histogram.count) == (None, None, 0)


def test_adding_one_by_one_is_the_same_as_adding_all() -> None:
    values = [5, 1_000_000, 3, -7, 5]
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)

    assert histogram.summary_ns() == LatencyHistogram(values).summary_ns()
    assert (histogram.min_ns, histogram.max_ns) == (-7, 1_000_000)


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0, "0 ns"),
        (1, "1 ns"),
        (873, "873 ns"),
        (999, "999 ns"),
        (1_000, "1 us"),
        (64_200, "64.2 us"),
        (999_499, "999 us"),
        (999_500, "1 ms"),
        (999_999, "1 ms"),
        (1_310_000, "1.31 ms"),
        (999_999_999, "1 s"),
        (30_800_000_000, "30.8 s"),
        (999_999_999_999, "1000 s"),
        (5_000_000_000_000, "5000 s"),
        (-64_200, "-64.2 us"),
    ],
)
def test_a_duration_is_written_for_people(value_ns: int, text: str) -> None:
    assert format_ns(value_ns) == text


@given(st.integers(-(2**62), 2**62))
def test_a_duration_is_never_written_with_an_exponent(value_ns: int) -> None:
    assert "e" not in format_ns(value_ns)
