"""Effects and tests of two groups of runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.analysis.stats import effect_sizes

SOURCE = np.random.default_rng(1)


def test_the_centre_is_the_median_of_means_of_pairs() -> None:
    assert effect_sizes.centre(np.array([1.0, 2.0, 9.0])) == 3.5  # of 1 1.5 2 5 5.5 9
    assert effect_sizes.centre(np.array([4.0])) == 4.0


def test_the_shift_is_the_median_of_differences() -> None:
    sample, other = np.array([5.0, 7.0, 90.0]), np.array([1.0, 2.0])
    assert effect_sizes.shift(sample, other) == 5.5  # of 3 4 5 6 88 89
    assert effect_sizes.shift(other, sample) == -5.5


def test_effects_work_on_many_samples_at_once() -> None:
    sample, other = SOURCE.normal(size=(10, 5)), SOURCE.normal(size=(10, 4))
    shifts = effect_sizes.shift(sample, other)
    for i in range(10):
        assert shifts[i] == effect_sizes.shift(sample[i], other[i])


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8),
    st.floats(-1e3, 1e3),
)
def test_a_shifted_sample_has_that_shift(
    values: list[float], others: list[float], by: float
) -> None:
    sample, other = np.array(values), np.array(others)
    moved = effect_sizes.shift(sample + by, other)
    assert moved == pytest.approx(effect_sizes.shift(sample, other) + by, abs=1e-9)


def test_cliffs_delta_counts_pairs() -> None:
    sample, other = np.array([2.0, 3.0]), np.array([1.0, 2.0])
    assert effect_sizes.cliffs_delta(sample, other) == 0.75
    assert effect_sizes.cliffs_delta(sample, sample + 10) == -1.0


def test_holm_adjusts_in_order() -> None:
    assert effect_sizes.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert effect_sizes.holm([0.9, 0.9]) == [1.0, 1.0]
    assert effect_sizes.holm([]) == []
