"""Shapes of growth: least squares, AICc, and what each shape may claim."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from pubsub_perf.analysis.growth import shapes
from pubsub_perf.analysis.growth.series import growth_results, series_of
from pubsub_perf.analysis.growth.shapes import SHAPES
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.stats.least_squares import fit_two
from pubsub_perf.analysis.values.results import GrowthResult
from pubsub_perf.analysis.values.samples import Sample, select

SIZES = (4, 8, 12, 16, 24, 32, 48)
HOW = Resampling(1, 100)

numbers = st.floats(0.1, 10)
columns = st.lists(st.tuples(numbers, numbers, numbers), min_size=3, max_size=8)


@settings(deadline=None)
@given(columns)
def test_least_squares_agree_with_scipys(rows: list[tuple[float, ...]]) -> None:
    first, second, values = np.array(rows).T
    found = fit_two(first, second, values)
    _, norm = optimize.nnls(np.stack([first, second], axis=1), values)
    assert float(found.rss) == pytest.approx(norm**2, rel=1e-6, abs=1e-9)
    assert (found.coefficients >= 0).all()


def test_many_fits_are_as_good_as_single_ones() -> None:
    source = np.random.default_rng(1)
    terms, values = source.random((7, 1, 5)), source.random((4, 5))
    found = fit_two(np.ones(5), terms, values)
    assert found.rss.shape == (7, 4)
    single = fit_two(np.ones(5), terms[3, 0], values[2])
    assert found.rss[3, 2] == pytest.approx(float(single.rss))
    assert found.coefficients[3, 2] == pytest.approx(single.coefficients)


def sample(
    hosts: int, medians: list[float], model: str = "centralized", kind: str = "tree"
) -> Sample:
    name = f"{kind}-{hosts}hosts"
    return Sample(model, name, kind, hosts, "load", np.array(medians))


def cells(
    law: Callable[[int], float], sizes: tuple[int, ...] = SIZES, noise: float = 0.01
) -> list[Sample]:
    source = np.random.default_rng(1)
    return [sample(n, (law(n) * source.lognormal(0, noise, 5)).tolist()) for n in sizes]


def result(samples: list[Sample], **options: frozenset[str]) -> GrowthResult:
    (found,) = growth_results(select(samples, ()), HOW, **options)
    return found


LAWS: dict[str, Callable[[int], float]] = {
    "constant": lambda n: 5e-4,
    "linear": lambda n: 3e-4 + 1e-5 * n,
    "n log n": lambda n: 3e-4 + 4e-6 * n * math.log(n),
    "quadratic": lambda n: 3e-4 + 1e-6 * n * n,
    "saturation": lambda n: 3e-4 + 2e-5 * n / (1 - (n / 55) ** 2),
}


@pytest.mark.parametrize("name", LAWS)
def test_each_shape_is_found_in_precise_data(name: str) -> None:
    found = result(cells(LAWS[name], noise=0.005))
    assert found.decided == name
    assert found.shapes[0].name == name
    assert found.shapes[0].delta == 0
    assert sum(fit.weight for fit in found.shapes) == pytest.approx(1.0)
    assert len(found.shapes) == len(SHAPES)
    curved = name not in ("constant", "linear")
    assert found.nonlinear == ("supported" if curved else "contradicted")
    assert found.quadratic == ("supported" if name == "quadratic" else "contradicted")


def test_parameters_curve_and_residuals_are_the_laws() -> None:
    found = result(cells(LAWS["saturation"], noise=1e-6))
    best = found.shapes[0]
    values = {p.name: p.value for p in best.parameters}
    assert values["c"] == pytest.approx(55, rel=0.03)
    assert values["a"] == pytest.approx(3e-4, rel=0.1)
    assert len(best.residuals) == len(found.points) == 5 * len(SIZES)
    assert np.abs(best.residuals).max() < 0.01
    assert best.curve[0].hosts == pytest.approx(4)
    assert best.curve[-1].latency_s == pytest.approx(LAWS["saturation"](48), rel=0.01)


def test_the_largest_size_is_predicted_without_it() -> None:
    held = result(cells(LAWS["linear"], noise=1e-6)).held_out
    assert held is not None
    assert held.hosts == 48
    assert held.predicted_s == pytest.approx(held.measured_s, rel=1e-3)


def test_the_exponent_has_an_interval() -> None:
    exponent = result(cells(LAWS["quadratic"])).exponent
    assert exponent is not None
    assert exponent.low is not None
    assert exponent.high is not None
    assert exponent.low <= 2.0 <= exponent.high


def test_five_sizes_are_too_few() -> None:
    found = result(cells(LAWS["linear"], SIZES[:5]))
    assert (found.shapes, found.decided) == ((), None)
    assert found.note == "5 sizes; a shape needs 6"
    assert len(found.points) == 25


def test_single_runs_decide_nothing() -> None:
    found = result([sample(n, [LAWS["quadratic"](n)]) for n in SIZES])
    assert (found.decided, found.nonlinear) == (None, "undecided")
    assert found.shapes[0].name == "quadratic"
    assert "too few runs" in found.note


def test_noise_decides_nothing() -> None:
    found = result(cells(LAWS["linear"], noise=0.6))
    assert found.decided is None


def test_many_runs_do_not_make_up_for_networks_that_differ() -> None:
    source = np.random.default_rng(5)
    decided = []
    for _ in range(40):
        drawn = []
        for n in SIZES:
            middle = LAWS["linear"](n) * source.lognormal(0, 0.15)
            drawn.append(sample(n, (middle * source.lognormal(0, 0.01, 50)).tolist()))
        decided.append(result(drawn).decided)
    assert sum(shape not in (None, "linear") for shape in decided) <= 4


def test_latency_that_falls_has_no_shape_of_growth() -> None:
    found = result(cells(lambda n: 1e-3 + 1e-2 / n))
    assert found.shapes[0].name == "constant"


def test_equal_values_do_not_break_the_fit() -> None:
    found = result([sample(n, [5e-4] * 5) for n in SIZES])
    assert found.shapes[0].name == "constant"
    assert all(math.isfinite(fit.aicc) for fit in found.shapes)


def test_overloaded_cells_are_not_fitted() -> None:
    drawn = cells(LAWS["linear"], noise=0.005)
    drawn.append(sample(64, [9.0] * 5))
    found = result(drawn, overloaded=frozenset({"centralized/tree-64hosts"}))
    assert max(point.hosts for point in found.points) == 48


def test_models_kinds_and_loads_are_fitted_apart() -> None:
    drawn = [sample(4, [1.0] * 3), sample(4, [1.0] * 3, kind="linear")]
    drawn.append(sample(4, [1.0] * 3, model="decentralized"))
    assert len(series_of(drawn)) == 3


def test_a_small_rise_is_not_growth() -> None:
    hosts, centres = np.array([4.0, 48.0]), np.array([1.0, 1.01])
    fitted = shapes.fit_shape(shapes.LINEAR, hosts, centres)
    low, high = fitted.at(hosts)
    assert high / low == pytest.approx(1 + shapes.MIN_RISE)
