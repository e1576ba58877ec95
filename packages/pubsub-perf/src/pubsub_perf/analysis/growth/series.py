"""Growth of latency with hosts for each model on each kind of network."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_perf import units
from pubsub_perf.analysis.growth import shapes
from pubsub_perf.analysis.growth.shapes import (
    LEAD,
    MIN_SIZES,
    NOT_CURVED,
    QUADRATIC,
    Fitted,
)
from pubsub_perf.analysis.stats import bootstrap, effect_sizes
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.stats.least_squares import fit_two
from pubsub_perf.analysis.values.results import (
    CurvePoint,
    Estimate,
    GrowthPoint,
    GrowthResult,
    HeldOut,
    Parameter,
    ShapeFit,
    Verdict,
)
from pubsub_perf.analysis.values.samples import Sample, Samples

_CURVE_POINTS: Final = 60
_EXPONENTS: Final = np.linspace(0.1, 6.0, 60)

Floats = NDArray[np.float64]


def series_of(cells: Sequence[Sample]) -> dict[tuple[str, str, str], list[Sample]]:
    """Cells of one model, kind of network and load, by hosts; hosts unknown left out."""
    found: dict[tuple[str, str, str], list[Sample]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.hosts or 0, cell.network)):
        if cell.hosts:
            key = (cell.model, cell.kind, cell.load)
            found.setdefault(key, []).append(cell)
    return found


def sizes(cells: Sequence[Sample]) -> list[int]:
    """The different numbers of hosts."""
    return sorted({cell.hosts for cell in cells if cell.hosts})


def growth_results(
    samples: Samples, resampling: Resampling, overloaded: Collection[str] = ()
) -> list[GrowthResult]:
    """The growth of every series. Cells named in ``overloaded`` have no steady state:
    their latency is that of a backlog, and grows with the length of the run."""
    results = []
    for (model, kind, _), cells in series_of(samples.cells).items():
        steady = [cell for cell in cells if cell.name not in overloaded]
        result = _result(model, kind, steady, resampling, samples.indicative)
        results.append(result)
    return results


def _result(
    model: str, kind: str, cells: list[Sample], resampling: Resampling, indicative: bool
) -> GrowthResult:
    points = tuple(
        GrowthPoint(cell.network, i + 1, cell.hosts or 0, float(median))
        for cell in cells
        for i, median in enumerate(cell.medians)
    )
    count = len(sizes(cells))
    if count < MIN_SIZES:
        note = f"{units.counted(count, 'size', 'sizes')}; a shape needs {MIN_SIZES}"
        return GrowthResult(model, kind, points, note=note)
    hosts = np.array([float(cell.hosts or 0) for cell in cells])
    centres = np.array([shapes.centre_of(cell) for cell in cells])
    ranked = shapes.compare(cells, hosts, centres)
    note = "too few runs of each size to decide between shapes" if indicative else ""
    decided = None if indicative else _decided(ranked)
    return GrowthResult(
        model,
        kind,
        points,
        shapes=tuple(_shape_fits(ranked, points, hosts)),
        decided=decided,
        nonlinear="undecided" if indicative else _nonlinear(ranked),
        quadratic=_is_quadratic(decided),
        exponent=_exponent(
            cells, hosts, centres, resampling, f"exponent/{model}/{kind}"
        ),
        held_out=_held_out(ranked[0], hosts, centres),
        note=note,
    )


def _decided(ranked: Sequence[Fitted]) -> str | None:
    ahead = ranked[1].aicc - ranked[0].aicc
    return ranked[0].shape.name if ahead > LEAD else None


def _nonlinear(ranked: Sequence[Fitted]) -> Verdict:
    """Whether some curved shape is ahead of all that are not, or the reverse."""
    straight = min(f.aicc for f in ranked if f.shape.name in NOT_CURVED)
    curved = min(f.aicc for f in ranked if f.shape.name not in NOT_CURVED)
    if straight - curved > LEAD:
        return "supported"
    return "contradicted" if curved - straight > LEAD else "undecided"


def _is_quadratic(decided: str | None) -> Verdict:
    if decided is None:
        return "undecided"
    return "supported" if decided == QUADRATIC.name else "contradicted"


def _shape_fits(
    ranked: Sequence[Fitted], points: Sequence[GrowthPoint], hosts: Floats
) -> list[ShapeFit]:
    best = ranked[0].aicc
    likelihoods = [math.exp((best - fit.aicc) / 2) for fit in ranked]
    at = np.array([float(point.hosts) for point in points])
    measured = np.array([point.median_s for point in points])
    grid = np.geomspace(hosts.min(), hosts.max(), _CURVE_POINTS)
    return [
        ShapeFit(
            name=fit.shape.name,
            formula=fit.shape.formula,
            parameters=tuple(_parameters(fit)),
            aicc=fit.aicc,
            delta=fit.aicc - best,
            weight=likelihood / sum(likelihoods),
            residuals=tuple(((measured - fit.at(at)) / measured).tolist()),
            curve=tuple(
                CurvePoint(float(n), float(t))
                for n, t in zip(grid, fit.at(grid), strict=True)
            ),
        )
        for fit, likelihood in zip(ranked, likelihoods, strict=True)
    ]


def _parameters(fit: Fitted) -> list[Parameter]:
    found = [Parameter("a", fit.a), Parameter("b", fit.b), Parameter("c", fit.pole)]
    return found[: fit.shape.free]


def _held_out(best: Fitted, hosts: Floats, centres: Floats) -> HeldOut | None:
    largest = hosts.max()
    rest = hosts < largest
    again = shapes.fit_shape(best.shape, hosts[rest], centres[rest], float(largest))
    predicted = float(again.at(np.array([largest]))[0])
    measured = float(np.exp(np.log(centres[~rest]).mean()))
    return HeldOut(int(largest), predicted, measured)


def _exponent(
    cells: Sequence[Sample],
    hosts: Floats,
    centres: Floats,
    resampling: Resampling,
    key: str,
) -> Estimate:
    """The p of ``a + b n^p``: 1 for a line, 2 for a parabola."""
    terms = (hosts / hosts.max()) ** _EXPONENTS[:, None, None] / centres

    def exponent(strata: Sequence[Floats]) -> Floats:
        values = (
            np.exp(np.stack([effect_sizes.centre(s) for s in strata], axis=-1))
            / centres
        )
        misfits = fit_two(1 / centres, terms, values).rss
        best: Floats = _EXPONENTS[np.argmin(misfits, axis=0)]
        return best

    strata = [np.log(cell.medians) for cell in cells]
    return bootstrap.percentile_interval(strata, exponent, resampling, key)
