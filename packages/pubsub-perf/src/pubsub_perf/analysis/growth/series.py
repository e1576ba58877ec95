"""Growth of latency with hosts for each model on each kind of network."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.text.counted import counted
from pubsub_perf.analysis.growth import ranking, shapes, slopes
from pubsub_perf.analysis.growth.ranking import LEAD, LEAD_OF_CELLS, Ranked, Scatter
from pubsub_perf.analysis.growth.shapes import MIN_SIZES, NOT_CURVED, QUADRATIC
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import (
    CurvePoint,
    Estimate,
    GrowthPoint,
    GrowthRate,
    GrowthResult,
    HeldOut,
    Parameter,
    ShapeFit,
    Verdict,
)
from pubsub_perf.analysis.values.samples import Sample, Samples

_CURVE_POINTS: Final = 60

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
    samples: Samples, unsteady: Collection[str] = ()
) -> list[GrowthResult]:
    """The growth of every series. Cells in ``unsteady`` have no steady state:
    they have a backlog, and their latency grows with the length of the run."""
    results = []
    for (model, kind, _), cells in series_of(samples.cells).items():
        steady = [cell for cell in cells if cell.name not in unsteady]
        result = _result(model, kind, steady, samples.indicative)
        names = tuple(cell.name for cell in cells if cell.name in unsteady)
        results.append(dataclasses.replace(result, unsteady=names))
    return results


def _result(
    model: str, kind: str, cells: list[Sample], indicative: bool
) -> GrowthResult:
    points = tuple(
        GrowthPoint(cell.network, i + 1, cell.hosts or 0, float(median))
        for cell in cells
        for i, median in enumerate(cell.medians)
    )
    count = len(sizes(cells))
    if count < MIN_SIZES:
        note = f"{counted(count, 'size')}; a shape needs {MIN_SIZES}"
        return GrowthResult(model, kind, points, note=note)
    hosts = np.array([float(cell.hosts or 0) for cell in cells])
    centres = np.array([shapes.centre_of(cell) for cell in cells])
    scatter = ranking.scatter_of(cells)
    ranked = ranking.rank(cells, hosts, centres, scatter)
    rate = _rate(hosts, centres, scatter)
    decided, note = _decided(ranked, rate, hosts, scatter)
    if indicative:
        decided, note = None, "too few runs of each size to decide between shapes"
    no_shape = not indicative and ranked[0].test == "does not fit"
    return GrowthResult(
        model,
        kind,
        points,
        shapes=tuple(_shape_fits(ranked, points, hosts)),
        decided=decided,
        no_shape=no_shape,
        nonlinear="undecided" if indicative else _nonlinear(ranked),
        quadratic="undecided"
        if indicative
        else _is_quadratic(ranked, decided, rate.exponent, hosts),
        rate=rate,
        held_out=_held_out(ranked[0], hosts, centres),
        note=note,
    )


def _rate(hosts: Floats, centres: Floats, scatter: Scatter) -> GrowthRate:
    first, last = (_middle(centres[hosts == n]) for n in (hosts.min(), hosts.max()))
    return GrowthRate(
        factor=last / first,
        per_doubling=slopes.per_doubling(hosts, centres, scatter),
        exponent=slopes.exponent(hosts, centres, scatter),
        scatter=math.sqrt(scatter.variance),
    )


def _decided(
    ranked: Sequence[Ranked], rate: GrowthRate, hosts: Floats, scatter: Scatter
) -> tuple[str | None, str]:
    """The shape that is ahead of all others, fits, and agrees with the exponent; or
    None, and why."""
    best = ranked[0]
    left = wording.spread(best.misfit)
    runs = wording.spread(math.sqrt(scatter.variance))
    if best.test == "does not fit":
        return None, (
            f"no shape fits: the nearest, {best.name}, leaves {left}, and runs explain {runs}"
        )
    if best.test == "unclear":
        return None, (
            f"no shape is decided: the best, {best.name}, leaves {left}, and runs explain "
            f"{runs}; networks that differ, or another shape"
        )
    lead = _lead(best)
    near = [other.name for other in ranked if other.aicc - best.aicc <= lead]
    if len(near) > 1:
        return None, (
            f"no shape is ahead by more than {lead:g} (AICc): {wording.listing(near)}"
        )
    if not _agrees(best.name, rate.exponent, hosts):
        return None, (
            f"no shape is decided: {best.name} is ahead, and the exponent "
            f"{wording.exponent(rate.exponent)} is not its own"
        )
    return best.name, ""


def _lead(best: Ranked) -> float:
    grows = best.name != shapes.CONSTANT.name
    return LEAD_OF_CELLS if best.misfit and grows else LEAD


def _agrees(name: str, exponent: Estimate, hosts: Floats) -> bool:
    """Whether the interval of the exponent contains an exponent of the shape."""
    log_n = np.log(np.maximum(hosts, 2))
    own = {
        shapes.CONSTANT.name: (-math.inf, math.inf),
        shapes.LINEAR.name: (1.0, 1.0),
        # Of n ln n the local exponent is 1 + 1 / ln n.
        shapes.N_LOG_N.name: (1 + 1 / log_n.max(), 1 + 1 / log_n.min()),
        shapes.QUADRATIC.name: (2.0, 2.0),
        shapes.SATURATION.name: (1.0, math.inf),
    }
    low, high = own[name]
    at_least, at_most = exponent.low or -math.inf, exponent.high or math.inf
    return bool(at_least <= high and low <= at_most)


def _nonlinear(ranked: Sequence[Ranked]) -> Verdict:
    """Whether some curved shape is ahead of all that are not, or none of these fits; or
    the reverse, where the best one fits."""
    straight = min(r.aicc for r in ranked if r.name in NOT_CURVED)
    curved = min(r.aicc for r in ranked if r.name not in NOT_CURVED)
    refused = {r.name for r in ranked if r.test == "does not fit"}
    if straight - curved > LEAD or refused >= set(NOT_CURVED):
        return "supported"
    fits = ranked[0].test == "fits"
    return "contradicted" if fits and curved - straight > LEAD else "undecided"


def _is_quadratic(
    ranked: Sequence[Ranked], decided: str | None, exponent: Estimate, hosts: Floats
) -> Verdict:
    """Contradicted also where several other shapes are about as good: where the best of
    them fits, is ahead of the parabola, and the exponent is not 2."""
    best = ranked[0]
    if decided == QUADRATIC.name:
        return "supported"
    if decided is not None or best.test == "does not fit":
        return "contradicted"
    (square,) = (found.aicc for found in ranked if found.name == QUADRATIC.name)
    flat = best.name == shapes.CONSTANT.name
    lead = LEAD if flat else LEAD_OF_CELLS
    behind = best.test == "fits" and square - best.aicc > lead
    if behind and (flat or not _agrees(QUADRATIC.name, exponent, hosts)):
        return "contradicted"
    return "undecided"


def _shape_fits(
    ranked: Sequence[Ranked], points: Sequence[GrowthPoint], hosts: Floats
) -> list[ShapeFit]:
    best = min(found.aicc for found in ranked)
    likelihoods = [math.exp((best - found.aicc) / 2) for found in ranked]
    at = np.array([float(point.hosts) for point in points])
    measured = np.array([point.median_s for point in points])
    grid = np.geomspace(hosts.min(), hosts.max(), _CURVE_POINTS)
    return [
        ShapeFit(
            name=found.name,
            formula=found.fitted.shape.formula,
            parameters=tuple(_parameters(found)),
            aicc=found.aicc,
            delta=found.aicc - best,
            weight=likelihood / sum(likelihoods),
            test=found.test,
            misfit=found.misfit,
            residuals=tuple(np.log(measured / found.fitted.at(at)).tolist()),
            curve=tuple(
                CurvePoint(float(n), float(t))
                for n, t in zip(grid, found.fitted.at(grid), strict=True)
            ),
        )
        for found, likelihood in zip(ranked, likelihoods, strict=True)
    ]


def _parameters(found: Ranked) -> list[Parameter]:
    fit = found.fitted
    values = [Parameter("a", fit.a), Parameter("b", fit.b), Parameter("c", fit.pole)]
    return values[: fit.shape.free]


def _held_out(best: Ranked, hosts: Floats, centres: Floats) -> HeldOut:
    largest = hosts.max()
    rest = hosts < largest
    shape = best.fitted.shape
    again = shapes.fit_shape(shape, hosts[rest], centres[rest], float(largest))
    predicted = float(again.at(np.array([largest]))[0])
    return HeldOut(int(largest), predicted, _middle(centres[~rest]))


def _middle(values: Floats) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values).mean()))
