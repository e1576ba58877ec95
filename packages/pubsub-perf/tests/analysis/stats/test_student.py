"""Student's t: agreement with scipy, and what decides where two errors are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pubsub_perf.analysis.stats import student
from pubsub_perf.analysis.stats.student import Student

SOURCE = np.random.default_rng(1)


def test_the_mean_of_networks_is_the_t_test() -> None:
    values = SOURCE.normal(1, 1, 8)
    count = len(values)
    found = student.over_networks(
        values, np.full(count, 1 / count), np.ones((count, 1))
    )
    expected = stats.ttest_1samp(values, 0)
    low, high = expected.confidence_interval(0.95)
    assert found.at(0.95).low == pytest.approx(low)
    assert found.at(0.95).high == pytest.approx(high)
    p_value = 2 * min(found.p_above(), found.p_below())
    assert p_value == pytest.approx(expected.pvalue)


def test_a_slope_is_that_of_least_squares() -> None:
    at, values = np.arange(6.0), SOURCE.normal(0, 1, 6)
    centred = at - at.mean()
    design = np.column_stack([np.ones(6), at])
    found = student.over_networks(values, centred / (centred @ centred), design)
    expected = stats.linregress(at, values)
    assert found.value == pytest.approx(expected.slope)
    assert found.error == pytest.approx(expected.stderr)
    assert found.freedom == 4


def test_two_cells_are_welchs_test() -> None:
    first, second = SOURCE.normal(0, 1, 4), SOURCE.normal(0, 5, 7)
    parts = [
        Student(float(v.mean()), float(v.std(ddof=1)) / len(v) ** 0.5, len(v) - 1)
        for v in (first, second)
    ]
    found = student.weighted(parts, np.array([1.0, -1.0]))
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found.freedom == pytest.approx(expected.df)
    assert 2 * min(found.p_above(), found.p_below()) == pytest.approx(expected.pvalue)


def test_without_freedom_there_is_no_interval() -> None:
    for found in (
        student.of_runs(np.array([1.0, 2.0])),
        student.over_networks(np.ones(2), np.array([-1.0, 1.0]), np.eye(2)),
        student.weighted([Student(1.0)], np.ones(1)),
    ):
        assert not found.at().bounded
        assert (found.p_above(), found.p_below()) == (1.0, 1.0)


def test_values_that_are_equal_have_no_error() -> None:
    found = student.over_networks(np.full(4, 0.3), np.full(4, 0.25), np.ones((4, 1)))
    assert (found.at().low, found.at().high) == pytest.approx((0.3, 0.3))
    assert (found.p_above(0.2), found.p_above(0.4)) == (0.0, 1.0)


def test_networks_that_scatter_more_than_runs_explain_count_alone() -> None:
    networks, runs, unknown = Student(1.0, 0.3, 5), Student(1.0, 0.1, 14), Student(1.0)
    assert student.combined(networks, runs) is networks
    assert student.combined(networks, unknown) is networks
    assert student.combined(unknown, runs) is runs
    assert student.combined(unknown, unknown) is unknown


def test_networks_that_scatter_as_runs_do_are_pooled_with_them() -> None:
    networks, runs = Student(1.0, 0.1, 5), Student(1.0, 0.15, 10)
    found = student.combined(networks, runs)
    assert found.freedom == 15
    assert found.error**2 == pytest.approx((5 * 0.1**2 + 10 * 0.15**2) / 15)


def test_the_error_rate_of_both_is_the_nominal_one() -> None:
    weights, design = np.full(7, 1 / 7), np.ones((7, 1))
    draws = 400
    for scatter in (0.0, 1.0):
        wrong = 0
        for _ in range(draws):
            values = scatter * SOURCE.normal(size=(7, 1)) + SOURCE.normal(size=(7, 3))
            networks = student.over_networks(values.mean(axis=1), weights, design)
            runs = student.over_runs(list(values), weights)
            found = student.combined(networks, runs).at()
            wrong += not (found.low or 0) <= 0 <= (found.high or 0)
        assert wrong <= 0.08 * draws
