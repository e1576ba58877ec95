"""Figures of several runs, and costs that fit them."""

from __future__ import annotations

import pytest

from pubsub_perf.bench.group.figures import (
    CostPoint,
    figure_of,
    fit_costs,
    percentile,
)


def test_a_figure_is_the_median_and_met_up_to_its_bound() -> None:
    found = figure_of("A2", "a join", [30.0, 50.0, 40.0], "ms", 40.0, expected=35.0)
    assert (found.value, found.lowest, found.highest) == (40.0, 30.0, 50.0)
    assert found.met
    assert found.document()["met"]
    assert not figure_of("A2", "a join", [41.0], "ms", 40.0).met
    assert figure_of("A19", "data", [1e9], "bytes").met


def test_costs_are_found_again() -> None:
    points = [
        CostPoint(taken, copies, 5.0 * taken + 0.5 * copies)
        for taken, copies in ((1, 1), (1, 4), (1, 8), (0.7, 2))
    ]
    found = fit_costs(points)
    assert found is not None
    assert (found.taken_us, found.copy_us) == pytest.approx((5.0, 0.5))


@pytest.mark.parametrize(
    "points",
    [
        [CostPoint(1, 4, 7.0)],
        [CostPoint(1, 4, 7.0), CostPoint(1, 4, 8.0)],
        [CostPoint(1, 1, 9.0), CostPoint(1, 8, 2.0)],
    ],
    ids=["one load", "alike", "less with more copies"],
)
def test_costs_that_runs_do_not_tell_are_none(points: list[CostPoint]) -> None:
    assert fit_costs(points) is None


def test_percentiles_are_of_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 99) == 99
    assert percentile([3.0], 99) == 3
