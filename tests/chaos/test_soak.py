"""How the soak test distinguishes a leak from a warm-up."""

from __future__ import annotations

import dataclasses

import pytest
from chaos_soak import Sample, slope, sum_up


def samples(seconds: int, warm_up_kib: int, kib_min: float) -> list[Sample]:
    """Memory that grows by ``warm_up_kib`` in the first 170 seconds, and by ``kib_min``
    per minute all the time."""
    return [
        Sample(
            at_s,
            round(20_000 + warm_up_kib * min(at_s, 170) / 170 + kib_min * at_s / 60),
            9,
        )
        for at_s in range(0, seconds + 1, 10)
    ]


def test_the_slope_is_that_of_the_straight_line() -> None:
    assert slope([(0, 5), (1, 7), (2, 9)]) == pytest.approx(2)
    assert slope([(0, 1), (1, 0), (2, 1), (3, 0)]) == pytest.approx(-0.2)
    assert slope([(1, 1)]) == 0


@pytest.mark.parametrize("seconds", [300, 900])
@pytest.mark.parametrize(
    ("kib_min", "exceeded"), [(0, False), (10, False), (300, True)]
)
def test_a_leak_exceeds_the_bound_and_a_warm_up_does_not(
    seconds: int, kib_min: float, exceeded: bool
) -> None:
    usage = sum_up("broker", [samples(seconds, 5000, kib_min)], 85)
    assert usage.max_slope == pytest.approx(kib_min, abs=1)
    assert usage.exceeded is exceeded


def test_descriptors_that_are_left_behind_exceed_the_bound() -> None:
    steady = samples(900, 0, 0)
    leaking = [
        dataclasses.replace(sample, fds=sample.fds + index)
        for index, sample in enumerate(steady)
    ]

    assert not sum_up("broker", [steady, steady], 85).exceeded
    assert sum_up("broker", [steady, leaking], 85).exceeded


def test_the_worst_process_counts() -> None:
    usage = sum_up("publisher", [samples(900, 0, n) for n in (0, 200, 0)], 85)
    assert usage.exceeded
    assert usage.median_slope == 0


def test_the_bound_is_for_five_minutes_and_wider_for_less() -> None:
    long, short, none = (
        sum_up("broker", [samples(seconds, 0, 0)], 85).bound
        for seconds in (1800, 280, 200)
    )
    assert long == 85
    assert short == pytest.approx(85 * 3)
    assert none is None


def test_a_run_that_is_too_short_exceeds_no_bound() -> None:
    assert not sum_up("broker", [samples(100, 5000, 0)], 85).exceeded
