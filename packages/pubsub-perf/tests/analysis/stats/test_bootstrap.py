"""Intervals over runs: they cover, they repeat, and they admit what they cannot say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pubsub_perf.analysis.stats import bootstrap, effect_sizes
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.values.estimate import Estimate

Floats = NDArray[np.float64]
HOW = Resampling(1, 400)


def mean(strata: Sequence[Floats]) -> Floats:
    found: Floats = strata[0].mean(axis=-1)
    return found


def shift(strata: Sequence[Floats]) -> Floats:
    return effect_sizes.shift(strata[0], strata[1])


def test_fewer_than_three_runs_have_no_interval() -> None:
    for method in (bootstrap.interval, bootstrap.percentile_interval):
        found = method([np.array([1.0, 3.0])], mean, HOW, "few")
        assert (found.value, found.low, found.high) == (2.0, None, None)
        assert not found.bounded


def test_the_interval_of_a_mean_is_students() -> None:
    sample = np.array([1.0, 2.0, 4.0, 8.0, 9.0])
    found = bootstrap.interval([sample], mean, Resampling(1, 20_000), "mean")
    low, high = stats.t.interval(0.95, 4, sample.mean(), stats.sem(sample))
    assert found.low == pytest.approx(low, rel=0.05)
    assert found.high == pytest.approx(high, rel=0.05)


def test_degrees_of_freedom_are_of_the_strata_that_matter() -> None:
    noisy, quiet = np.array([0.0, 5.0, 9.0]), np.array([1.0, 1.01, 1.02] * 10)
    strata = [noisy, quiet]
    found = bootstrap.interval(
        strata, lambda s: s[0].mean(axis=-1) + s[1].mean(axis=-1), HOW, "both"
    )
    low, _ = stats.t.interval(0.95, 2, noisy.mean() + 1.01, stats.sem(noisy))
    assert found.low == pytest.approx(low, rel=0.15)


@pytest.mark.parametrize("runs", [3, 5, 10])
def test_intervals_of_few_runs_cover_the_truth(runs: int) -> None:
    source = np.random.default_rng(runs)
    hits = 0
    for i in range(300):
        strata = [source.normal(1.0, 1.0, runs), source.normal(0.0, 1.0, runs)]
        found = bootstrap.interval(strata, shift, HOW, str(i))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 1.0 <= found.high
    assert hits >= 0.93 * 300


def test_percentile_intervals_keep_to_what_was_seen() -> None:
    sample = np.array([1.0, 2.0, 4.0, 8.0, 9.0])
    found = bootstrap.percentile_interval([sample], mean, HOW, "mean")
    assert found.low is not None
    assert found.high is not None
    assert 1.0 <= found.low < found.value < found.high <= 9.0


def test_a_seed_and_a_key_decide() -> None:
    sample = [np.array([1.0, 2.0, 4.0, 8.0])]

    def of(seed: int, key: str) -> Estimate:
        return bootstrap.interval(sample, mean, Resampling(seed, 100), key)

    assert of(1, "a") == of(1, "a")
    assert of(1, "a") != of(2, "a")
    assert of(1, "a") != of(1, "b")


def test_equal_runs_make_an_interval_of_no_width() -> None:
    found = bootstrap.interval([np.full(5, 2.0)], mean, HOW, "equal")
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_logarithms_become_numbers() -> None:
    found = bootstrap.exponential(Estimate(0.0, -1.0, 1000.0, 0.99))
    assert (found.value, found.low, found.high, found.level) == pytest.approx(
        (1.0, np.exp(-1.0), np.inf, 0.99)
    )
    assert bootstrap.exponential(Estimate(0.0)) == Estimate(1.0)
