"""Analyses a folder: cells, pairs, patterns, growth and queue."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pubsub_perf.analysis.cell_samples import CellFacts, cell_facts
from pubsub_perf.analysis.groups import NO_QUEUE, group_results
from pubsub_perf.analysis.growth.ranking import (
    LEAD,
    LEAD_OF_CELLS,
    NETWORKS_DIFFER,
    TOLERANCE,
)
from pubsub_perf.analysis.growth.series import growth_results
from pubsub_perf.analysis.growth.shapes import MAX_POLE, MIN_RISE, MIN_SIZES
from pubsub_perf.analysis.machines import machine_factors, split_pairs
from pubsub_perf.analysis.patterns.decide import decide
from pubsub_perf.analysis.patterns.evidence import Evidence
from pubsub_perf.analysis.patterns.over_networks import MIN_RANKED
from pubsub_perf.analysis.queueing import prediction
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.stats.verdicts import DECIDING, MARGIN, SIGNIFICANT
from pubsub_perf.analysis.values.estimate import MIN_RUNS
from pubsub_perf.analysis.values.results import Analysis
from pubsub_perf.analysis.values.samples import CENTRALIZED, cell_name, select
from pubsub_perf.results.cells import Dataset


def analyse(
    dataset: Dataset,
    *,
    seed: int = 1,
    resamples: int = 2000,
    margin: float = MARGIN,
) -> Analysis:
    """Decide the seed's patterns and compute all other results. The same
    dataset and seed give the same analysis."""
    resampling = Resampling(seed, resamples)
    split = split_pairs(dataset.cells)
    facts = [
        cell_facts(
            cell, resampling, [n for network, n in split if network == cell.network]
        )
        for cell in dataset.cells
    ]
    samples = select(
        (fact.sample for fact in facts if fact.sample is not None),
        (fact.left_out for fact in facts if fact.left_out is not None),
    )
    evidence = Evidence.of(samples, margin)
    loads = [fact.load for fact in facts if fact.load is not None]
    unsteady = {fact.result.name for fact in facts if fact.result.backlog is not None}
    unsteady |= {
        cell_name(CENTRALIZED, load.network)
        for load in loads
        if prediction.is_overloaded(load)
    }
    growth = growth_results(samples, unsteady)
    groups = tuple(group_results(dataset.cells))
    queueing = prediction.queueing_view(loads, resampling)
    if groups and not loads:
        queueing = dataclasses.replace(queueing, missing=(NO_QUEUE,))
    return Analysis(
        title=dataset.title,
        seed=seed,
        resamples=resamples,
        margin=margin,
        cells=tuple(fact.result for fact in facts),
        pairs=tuple(evidence.compared),
        patterns=decide(evidence, growth),
        growth=tuple(growth),
        queueing=queueing,
        methods=methods(resampling, margin),
        problems=(
            *dataset.problems,
            *split.values(),
            *_problems(facts),
        ),
        groups=groups,
        machines=machine_factors(dataset.cells, facts),
    )


def _problems(facts: Sequence[CellFacts]) -> Iterator[str]:
    for fact in facts:
        for note in fact.result.notes:
            yield f"{fact.result.name}: {note}"


def methods(resampling: Resampling, margin: float) -> tuple[str, ...]:
    """The methods of the analysis, as sentences."""
    return (
        f"Patterns 1 to 4 are inferred over networks: {100 * DECIDING:g} % intervals by "
        f"Student's t from the scatter of networks about the line of least squares, or from "
        f"that of runs where this is wider. One or two networks are judged by their runs.",
        "Both models of a network are compared round by round, so a drift of the machine "
        "between rounds has no effect.",
        f"Intervals of cells are 95 % intervals over their runs, by cluster bootstrap "
        f"({resampling.resamples:,} samples, seed {resampling.seed}), and need {MIN_RUNS} runs.",
        "A cell's value is the Hodges-Lehmann centre of its runs' percentiles; "
        "percentiles are nearest rank, without warm-up.",
        f"Supported: the whole interval is on the claim's side. Contradicted: all of it "
        f"is on the other side by more than {100 * margin:.3g} %. Undecided otherwise.",
        f"Patterns 1 and 2 also need p <= {SIGNIFICANT:g} by Wilcoxon's signed ranks from "
        f"{MIN_RANKED} networks on, and that no network by itself shows the opposite.",
        "Intervals and p-values of single networks are corrected for their "
        "number (Bonferroni; Holm). The five patterns are not corrected for their number.",
        f"A shape of growth needs {MIN_SIZES} sizes and an AICc that is smaller than all "
        f"others' by more than {LEAD:g} ({LEAD_OF_CELLS:g} where networks differ); a shape "
        f"that grows does so by {100 * MIN_RISE:.3g} % or more, and saturation's pole is within "
        f"{MAX_POLE:g} times the largest size.",
        f"A shape is decided only when it leaves no more than the scatter of runs and "
        f"{100 * TOLERANCE:g} % (F test at 5 %) and the exponent agrees. No shape fits when "
        f"the best one leaves more than networks that differ by {100 * NETWORKS_DIFFER:g} % would.",
        "Cells and runs that failed, and those on a strained or saturated machine, are "
        "listed and not counted; cells without a fidelity record are counted, and named.",
    )
