"""An invented analysis for tests of figures and pages: its values are given, not
computed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pubsub_perf.analysis.values.results import (
    Analysis,
    CellResult,
    CurvePoint,
    Estimate,
    Extrapolation,
    GrowthPoint,
    GrowthRate,
    GrowthResult,
    LeftOut,
    Part,
    PatternResult,
    QueueingView,
    QueuePoint,
    RunResult,
    ShapeFit,
)

SIZES = (4, 8, 12, 16, 24, 32)
MODELS = ("centralized", "decentralized")
LOAD = "50 events of 64 B per publisher, one every 0.1 s, 5 Mbit/s"


def truth(model: str, hosts: float) -> float:
    """The median that cells of this size scatter about, in seconds."""
    return 4e-4 + (3e-6 * hosts**2 if model == "centralized" else 1.2e-5 * hosts)


def cell(
    model: str = "centralized",
    kind: str = "tree",
    hosts: int = 8,
    *,
    runs: int = 5,
    fidelity: str = "ok",
    seed: int = 1,
) -> CellResult:
    random = np.random.default_rng([seed, hosts, MODELS.index(model), len(kind)])
    medians = truth(model, hosts) * random.lognormal(0, 0.06, runs)
    why_not = None if fidelity == "ok" else f"machine {fidelity}"
    results = tuple(
        RunResult(
            number=i + 1,
            count=1000,
            warmup=20,
            p50_s=float(median),
            p99_s=float(median * random.uniform(2, 4)),
            p999_s=None,
            mean_s=float(median * 1.1),
            outcome="ok",
            fidelity=fidelity,
            why_not=why_not,
        )
        for i, median in enumerate(medians)
    )
    return CellResult(
        name=f"{model}/{kind}-{hosts}hosts",
        model=model,
        network=f"{kind}-{hosts}hosts",
        kind=kind,
        hosts=hosts,
        publishers=hosts // 2,
        subscribers=(hosts - 1) // 2,
        load=LOAD,
        runs=results,
        p50_s=_estimate([r.p50_s for r in results]),
        p99_s=_estimate([r.p99_s for r in results]),
        p999_s=None,
        expected=1020 * runs,
        lost=2,
        warmup=20 * runs,
        warmup_rule="first 5 of each stream",
        why_not=why_not,
    )


def _estimate(values: Sequence[float | None]) -> Estimate:
    known = [value for value in values if value is not None]
    middle = float(np.median(known))
    if len(known) < 3:
        return Estimate(middle)
    return Estimate(middle, float(min(known)), float(max(known)))


def growth(cells: Sequence[CellResult], decided: str | None = None) -> GrowthResult:
    """A fit of the cells of one model and kind."""
    model, kind = cells[0].model, cells[0].kind
    points = tuple(
        GrowthPoint(c.network, run.number, c.hosts or 0, run.p50_s or 0.0)
        for c in cells
        for run in c.runs
    )
    laws: tuple[tuple[str, Callable[[float], float]], ...] = (
        ("quadratic", lambda n: truth("centralized", n)),
        ("linear", lambda n: truth("decentralized", n)),
        ("n log n", lambda n: 4e-4 + 4e-6 * n * float(np.log(n))),
        ("constant", lambda n: 6e-4),
        ("saturation", lambda n: 4e-4 + 1e-5 * n / (1 - (n / 60) ** 2)),
    )
    if model == "decentralized":
        laws = (laws[1], laws[0], *laws[2:])
    grid = np.geomspace(min(p.hosts for p in points), max(p.hosts for p in points), 30)
    shapes = tuple(
        ShapeFit(
            name=name,
            formula="a + b",
            parameters=(),
            aicc=10.0 + 3 * rank,
            delta=3.0 * rank,
            weight=0.5**rank,
            test="fits",
            misfit=0.02 * rank,
            residuals=tuple(math.log(p.median_s / law(p.hosts)) for p in points),
            curve=tuple(CurvePoint(float(n), law(float(n))) for n in grid),
        )
        for rank, (name, law) in enumerate(laws)
    )
    rate = GrowthRate(3.2, Estimate(1.5, 1.4, 1.6), Estimate(1.9, 1.6, 2.2), 0.03)
    return GrowthResult(model, kind, points, shapes, decided, rate=rate)


def queueing() -> QueueingView:
    points = tuple(
        QueuePoint(
            network=f"tree-{n}hosts",
            kind="tree",
            hosts=n,
            fanout=n / 2,
            events_per_s=5.0 * n,
            cpu_utilisation=0.0008 * n * n,
            link_utilisation=0.0009 * n * n,
            measured_mean_s=truth("centralized", n) * 1.15,
            measured_median_s=truth("centralized", n),
            predicted_s=truth("centralized", n) * (1 + 0.1 * (-1) ** n),
            calibrated=n == SIZES[0],
            predicted_periodic_s=truth("centralized", n) * 0.9,
        )
        for n in SIZES
    )
    curve = tuple(
        CurvePoint(float(n), 4e-4 + 1.5e-5 * n / (1 - (n / 36) ** 2))
        for n in np.linspace(2, 34, 40)
    )
    return QueueingView(
        per_event_s=Estimate(39e-6, 36e-6, 42e-6),
        per_delivery_s=Estimate(7.1e-6, 6.5e-6, 7.7e-6),
        link_per_delivery_s=2.1e-4,
        fixed_s=3e-4,
        points=points,
        curve=curve,
        curve_periodic=tuple(
            CurvePoint(float(n), truth("centralized", float(n)) * 0.9)
            for n in np.linspace(2, 34, 40)
        ),
        full_at_hosts=33,
        extrapolations=(
            Extrapolation(1000, 90.0, 110.0, None, "1,000 hosts: the broker is full."),
            Extrapolation(10_000, None, None, None, "10,000 hosts: full as well."),
        ),
        assumptions=(
            "Half of the hosts publish.",
            "Every host sends at the same rate.",
        ),
        missing=(),
    )


def patterns() -> tuple[PatternResult, ...]:
    claims = (
        ("Direct dissemination has smaller latency", "supported"),
        ("Centralized has more extreme values", "undecided"),
        ("Latency grows with the number of hosts", "supported"),
        ("It grows faster in the centralized model", "contradicted"),
        ("Centralized grows quadratically, direct linearly", "undecided"),
    )
    return tuple(
        PatternResult(
            number=number,
            claim=claim,
            verdict=verdict,  # type: ignore[arg-type]
            effect="ratio of medians, direct / centralized",
            estimate=Estimate(0.71, 0.65, 0.78) if number != 5 else None,
            sentence=f"Sentence {number}: the data say {verdict}.",
            parts=(Part("tree", "supported", "ratio", Estimate(0.7, 0.6, 0.8)),),
            used=("centralized/tree-8hosts", "decentralized/tree-8hosts"),
            left_out=(LeftOut("centralized/tree-32hosts", "machine saturated"),),
            notes=("A note <with> marks.",),
        )
        for number, (claim, verdict) in enumerate(claims, start=1)
    )


def analysis(
    *, kinds: Sequence[str] = ("tree",), runs: int = 5, **changes: Any
) -> Analysis:
    """Both models on networks of these kinds, in `SIZES`."""
    cells = tuple(
        cell(
            model,
            kind,
            hosts,
            runs=runs,
            fidelity="strained" if (model, hosts) == ("centralized", 32) else "ok",
        )
        for kind in kinds
        for hosts in SIZES
        for model in MODELS
    )
    fits = tuple(
        growth(
            [c for c in cells if (c.model, c.kind) == (model, kind)],
            "quadratic" if model == "centralized" else None,
        )
        for kind in kinds
        for model in MODELS
    )
    made = Analysis(
        title="made up",
        seed=1,
        resamples=2000,
        margin=0.05,
        cells=cells,
        pairs=(),
        patterns=patterns(),
        growth=fits,
        queueing=queueing(),
        methods=("A method.",),
        problems=(),
    )
    return dataclasses.replace(made, **changes)
