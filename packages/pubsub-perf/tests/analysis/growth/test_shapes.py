"""Shapes of growth: least squares, AICc, and what each shape may claim."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize
from support.rings import full_size

from pubsub_perf.analysis.growth import shapes
from pubsub_perf.analysis.growth.log_fit import fit_logs
from pubsub_perf.analysis.growth.series import growth_results, series_of
from pubsub_perf.analysis.growth.shapes import SHAPES
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import EXPONENTS, Estimate, GrowthResult
from pubsub_perf.analysis.values.samples import Sample, select

SIZES = (4, 8, 12, 16, 24, 32, 48)


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
    (found,) = growth_results(select(samples, ()), **options)
    return found


def within(estimate: Estimate, value: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= value <= estimate.high


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


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_factor_doubling_and_exponent_are_those_of_a_power(power: float) -> None:
    rate = result(cells(lambda n: 1e-4 * n**power)).rate
    assert rate is not None
    assert rate.factor == pytest.approx(12**power, rel=0.05)
    assert within(rate.per_doubling, 2**power)
    assert within(rate.exponent, power)


def test_an_exponent_at_the_end_of_those_tried_says_so() -> None:
    steep = result(cells(lambda n: 1e-4 + 1e-12 * n**7))
    assert steep.rate is not None
    assert steep.rate.exponent.value == EXPONENTS[1]
    told = wording.exponent(steep.rate.exponent)
    assert told.startswith("6 or more (")
    assert told.endswith("at the end of the tested range")


def test_an_exponent_that_anything_fits_is_not_known() -> None:
    flat = result(cells(LAWS["constant"]))
    assert flat.rate is not None
    assert wording.exponent(flat.rate.exponent).startswith("not known")


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


def test_cells_without_a_steady_state_are_not_fitted() -> None:
    drawn = cells(LAWS["linear"], noise=0.005)
    drawn.append(sample(64, [9.0] * 5))
    found = result(drawn, unsteady=frozenset({"centralized/tree-64hosts"}))
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


def knee(factor: float) -> Callable[[int], float]:
    """Latency that jumps at the two largest of the seven sizes."""
    return lambda n: 1e-3 * (factor if n > 30 else 1)


@pytest.mark.parametrize("factor", [1.5, 2, 3, 5, 10, 30, 1000, 20_000])
def test_a_jump_is_no_constant(factor: float) -> None:
    for noise in (0.02, 0.05):
        found = result(cells(knee(factor), (5, 9, 17, 25, 30, 49, 65), noise))
        assert found.decided is None
        assert found.nonlinear != "contradicted"
        assert found.shapes[0].name != "constant"
        assert found.no_shape == (factor >= 10) or 3 < factor < 10
        assert found.note.startswith("no shape ")


@pytest.mark.parametrize("at", range(len(SIZES)))
@pytest.mark.parametrize("factor", [0.05, 20.0])
def test_far_below_costs_as_much_as_far_above(at: int, factor: float) -> None:
    drawn = cells(LAWS["linear"])
    odd = drawn[at]
    drawn[at] = sample(SIZES[at], (odd.medians * factor).tolist())
    found = result(drawn)
    assert found.decided is None
    assert found.note.startswith("no shape ")


def test_what_fits_within_the_scatter_of_runs_is_decided_and_no_more() -> None:
    crooked = [1.0, 1.12, 0.9, 1.1, 0.88, 1.1, 0.92]
    law = dict(zip(SIZES, crooked, strict=True))
    precise = result(cells(lambda n: LAWS["quadratic"](n) * law[n], noise=0.01))
    assert precise.decided is None
    assert precise.shapes[0].test == "unclear"
    assert "networks that differ, or another shape" in precise.note
    rough = result(cells(lambda n: LAWS["quadratic"](n) * law[n], noise=0.4))
    assert rough.shapes[0].test == "fits"


def test_no_shape_fits_is_a_verdict() -> None:
    found = result(cells(knee(1000)))
    assert found.no_shape
    assert (found.quadratic, found.nonlinear) == ("contradicted", "supported")
    assert wording.shape(found) == "no shape fits"
    assert found.note.startswith(
        "no shape fits: the nearest, saturation, leaves a factor of"
    )


def test_a_shape_that_the_exponent_denies_is_not_decided() -> None:
    """Growth like a root of hosts is close to a line, but not linear."""
    found = [
        result(cells(lambda n: 1e-4 * n**0.7, noise=s)) for s in (0.005, 0.01, 0.02)
    ]
    assert [growth.decided for growth in found] == [None] * 3


@pytest.mark.parametrize("seed", range(8))
def test_fits_agree_with_a_search_for_the_least_squares(seed: int) -> None:
    source = np.random.default_rng(seed)
    hosts = np.array([float(n) for n in SIZES])
    logs = source.normal(size=7) * 0.3 + np.log(1 + source.random() * hosts**1.3)
    found = fit_logs((hosts**1.7)[None], logs)

    def misfit(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        curve = np.exp(x[0]) + np.exp(x[1]) * hosts**1.7
        return float(((logs - np.log(curve)) ** 2).sum())

    best = min(
        float(optimize.minimize(misfit, (0.0, start), method="Nelder-Mead").fun)
        for start in (-12.0, -8.0, -4.0, 0.0)
    )
    assert found.rss[0] <= best * (1 + 1e-4) + 1e-9
    again = found.a[0] + found.b[0] * hosts**1.7
    assert float(((logs - np.log(again)) ** 2).sum()) == pytest.approx(found.rss[0])


DRAWS = 100 if full_size() else 6


@pytest.mark.parametrize("differ", [0.0, 0.03, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("name", LAWS)
def test_networks_that_differ_do_not_decide_a_wrong_shape(
    name: str, differ: float
) -> None:
    """At most 5 of 100 draws, whatever the scatter of networks about the law."""
    wrong = 0
    for seed in range(DRAWS):
        source = np.random.default_rng([seed, 7])
        drawn = []
        for n in SIZES:
            middle = LAWS[name](n) * source.lognormal(0, differ)
            runs = middle * source.lognormal(0, 0.02 if differ < 0.05 else 0.05, 5)
            drawn.append(sample(n, runs.tolist()))
        found = result(drawn)
        wrong += found.no_shape or found.decided not in (None, name)
    assert wrong <= max(1, 0.05 * DRAWS)
