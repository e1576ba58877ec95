"""Verdicts: from intervals to words, and each pattern's own rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from pubsub_perf.analysis.growth.series import growth_results
from pubsub_perf.analysis.patterns import host_scaling, model_comparison
from pubsub_perf.analysis.patterns.decide import decide
from pubsub_perf.analysis.patterns.evidence import Evidence
from pubsub_perf.analysis.patterns.model_pairs import (
    compare_pairs,
    pairs_of,
    simultaneous,
)
from pubsub_perf.analysis.stats import verdicts
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.estimate import Estimate
from pubsub_perf.analysis.values.results import LeftOut, PatternResult, Verdict
from pubsub_perf.analysis.values.samples import Sample, Samples, select


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.01, 1.5, "supported"),
        (0.5, 0.94, "contradicted"),
        (0.5, 0.96, "undecided"),  # the other way, but by less than the margin
        (0.99, 1.5, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_an_interval_decides(
    low: float | None, high: float | None, verdict: Verdict
) -> None:
    assert verdicts.of_ratio(Estimate(1.0, low, high)) == verdict


def test_equal_as_far_as_it_matters() -> None:
    assert verdicts.negligible(Estimate(1.0, 0.97, 1.03))
    assert not verdicts.negligible(Estimate(1.0, 0.9, 1.03))
    assert not verdicts.negligible(Estimate(1.0))


def test_verdicts_are_combined() -> None:
    yes: Verdict = "supported"
    no: Verdict = "contradicted"
    open_: Verdict = "undecided"
    assert verdicts.all_of([yes, yes]) == yes
    assert verdicts.all_of([yes, no]) == no
    assert verdicts.all_of([yes, open_]) == open_
    assert verdicts.all_of([]) == open_
    assert verdicts.any_of([yes, open_]) == yes
    assert verdicts.any_of([open_, no]) == no
    assert verdicts.any_of([yes, no]) == open_
    assert verdicts.any_of([]) == open_


def test_words_for_estimates() -> None:
    assert wording.ratio(Estimate(1.5234, 1.3, 1.7)) == "1.52 (1.3 to 1.7)"
    assert wording.ratio(Estimate(1.2, 1.0004, 1.42)) == "1.2 (1.0004 to 1.42)"
    assert wording.ratio(Estimate(0.9, 0.8, 0.9996)) == "0.9 (0.8 to 0.9996)"
    assert wording.ratio(Estimate(1.1, 1.0, 1.2)) == "1.1 (1 to 1.2)"
    assert wording.change(3.21) == "latency grows 3.21 times"
    assert wording.change(0.0764) == "latency falls to 7.64 %"
    assert wording.ratio(Estimate(1.5)) == "1.5 (no interval)"
    assert wording.ratio(None) == "n/a"
    assert wording.seconds(Estimate(4e-4, 3e-4, 5e-4)) == "400 (300 to 500) µs"
    assert wording.seconds(None) == "n/a"
    assert wording.percent(12.5) == "1,250 %"
    assert wording.percent(None) == "n/a"
    assert wording.listing(["a", "b", "c"]) == "a, b and c"
    assert wording.listing([]) == ""


def cell(
    model: str,
    hosts: int | None,
    medians: Sequence[float],
    *,
    tail: float | None = 3.0,
    kind: str = "tree",
    load: str = "load",
) -> Sample:
    values = np.array(medians)
    wobble = np.linspace(0.97, 1.03, len(values))
    tails = None if tail is None else tail * wobble
    return Sample(model, f"{kind}-{hosts}", kind, hosts, load, values, tails)


def spread(middle: float, runs: int = 5) -> list[float]:
    return [float(value) for value in middle * np.linspace(0.97, 1.03, runs)]


def evidence(cells: Sequence[Sample], left_out: Sequence[LeftOut] = ()) -> Evidence:
    return Evidence.of(select(cells, left_out), verdicts.MARGIN)


def both(
    ratios: dict[int, float], *, runs: int = 5, tail: float | None = 3.0
) -> list[Sample]:
    """Centralized is ``ratio`` times the direct latency, which is 1 ms."""
    return [
        made
        for hosts, ratio in ratios.items()
        for made in (
            cell("centralized", hosts, spread(1e-3 * ratio, runs), tail=tail),
            cell("decentralized", hosts, spread(1e-3, runs)),
        )
    ]


def test_pairs_are_of_one_network_and_load() -> None:
    cells = [
        *both({4: 1.0, 8: 1.0}),
        cell("centralized", 16, [1.0] * 3),
        cell("decentralized", 24, [1.0] * 3),
        cell("centralized", 32, [1.0] * 3, load="1 s interval"),
        cell("decentralized", 32, [1.0] * 3, load="2 s interval"),
    ]
    found, alone = pairs_of(Samples(tuple(cells), ()))
    assert [pair.network for pair in found] == ["tree-4", "tree-8"]
    assert {(item.cell, item.reason) for item in alone} == {
        ("centralized/tree-16", "no countable decentralized cell on this network"),
        ("decentralized/tree-24", "no countable centralized cell on this network"),
        ("centralized/tree-32", "loads differ: 1 s interval and 2 s interval"),
        ("decentralized/tree-32", "loads differ: 1 s interval and 2 s interval"),
    }


def test_single_pairs_are_corrected_for_being_several() -> None:
    found, _ = pairs_of(select(both({4: 1.5, 8: 1.5, 16: 1.0}), ()))
    results = compare_pairs(found)
    assert {result.ratio.level for result in results} == {simultaneous(3)}
    assert simultaneous(3) == pytest.approx(1 - 0.05 / 3)
    for result in results[:2]:
        assert result.p_adjusted == pytest.approx(3 * result.p_value)
        assert result.cliffs_delta == 1.0
        assert result.shift_s.value == pytest.approx(5e-4, rel=0.01)
        assert result.tail_ratio is not None


def test_pattern_1_is_supported_by_all_networks_together() -> None:
    found = model_comparison.direct_is_smaller(evidence(both({4: 1.2, 8: 1.3})))
    assert found.verdict == "supported"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx((1.2 * 1.3) ** 0.5, rel=0.01)
    assert len(found.used) == 4


def test_pattern_1_depends_on_the_network() -> None:
    found = model_comparison.direct_is_smaller(
        evidence(both(dict.fromkeys(range(4, 12), 3.0) | {16: 0.5}))
    )
    assert found.verdict == "undecided"
    assert "1 by itself shows the opposite" in found.sentence


def test_pattern_1_asks_wilcoxon_where_there_are_six_networks() -> None:
    one_is_far_off = {2**k: 0.9 for k in range(2, 8)} | {256: 60.0, 512: 80.0}
    found = model_comparison.direct_is_smaller(evidence(both(one_is_far_off)))
    assert "2 of 8 networks agree, Wilcoxon p = " in found.sentence
    assert found.verdict == "undecided"


def test_one_run_of_many_networks_is_evidence() -> None:
    ratios = dict(
        zip(range(4, 11), (1.2, 1.3, 1.25, 1.22, 1.28, 1.24, 1.27), strict=True)
    )
    found = model_comparison.direct_is_smaller(evidence(both(ratios, runs=1)))
    assert found.verdict == "supported"
    assert "over networks: 7 of 7 networks agree, Wilcoxon p = 0.016" in found.sentence
    assert "differences between networks" in found.notes[0]


def test_one_network_is_told_by_its_runs() -> None:
    found = model_comparison.direct_is_smaller(evidence(both({4: 1.5}, runs=3)))
    assert found.verdict == "supported"
    assert "by the runs of 1 network alone" in found.sentence


def test_pairs_are_compared_round_by_round() -> None:
    drift = np.array([1.0, 3.0, 2.0, 8.0])
    cells = [
        cell(
            "centralized",
            4,
            [1.1e-3 * x * y for x, y in zip(drift, (1, 0.99, 1.01, 1), strict=True)],
        ),
        cell("decentralized", 4, [float(1e-3 * x) for x in drift]),
    ]
    found = model_comparison.direct_is_smaller(evidence(cells))
    assert found.verdict == "supported"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(1.1, rel=0.01)
    # The third round of one cell, and the other rounds of both.
    late = dataclasses.replace(
        cells[0], medians=cells[0].medians[1:], tail99=None, rounds=(2, 3, 4)
    )
    found = model_comparison.direct_is_smaller(evidence([late, cells[1]]))
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(1.1, rel=0.01)


def test_pattern_1_says_when_there_is_no_difference_that_matters() -> None:
    found = model_comparison.direct_is_smaller(
        evidence(both({4: 1.0, 8: 1.0, 16: 1.0}))
    )
    assert found.verdict == "undecided"
    assert "a difference below 5 %" in found.sentence


def test_pattern_2_is_decided_by_tails() -> None:
    heavy = model_comparison.centralized_has_extremes(
        evidence(both({4: 1.0, 8: 1.0}, tail=6.0))
    )
    assert heavy.verdict == "supported"
    light = model_comparison.centralized_has_extremes(
        evidence(both({4: 9.0, 8: 9.0}, tail=1.5))
    )
    assert light.verdict == "contradicted"
    informative = [part for part in light.parts if part.verdict is None]
    assert [part.name for part in informative] == [
        "p99 / p50, centralized",
        "p99 / p50, decentralized",
    ]


def test_pattern_2_needs_100_events() -> None:
    found = model_comparison.centralized_has_extremes(
        evidence(both({4: 1.0}, tail=None))
    )
    assert found.verdict == "undecided"
    assert "100 events" in found.sentence


def growing(factor: float, sizes: Sequence[int] = (4, 8, 16)) -> dict[int, float]:
    return {n: factor ** np.log2(n / sizes[0]) for n in sizes}


def test_pattern_3_needs_both_models() -> None:
    one = host_scaling.grows_with_hosts(evidence(both(growing(1.5))))
    assert [part.verdict for part in one.parts] == ["supported", "undecided"]
    assert one.verdict == "undecided"
    cells = [
        made
        for n, ratio in growing(1.5).items()
        for made in (
            cell("centralized", n, spread(2e-3 * ratio)),
            cell("decentralized", n, spread(1e-3 * ratio)),
        )
    ]
    found = host_scaling.grows_with_hosts(evidence(cells))
    assert found.verdict == "supported"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(1.5, rel=0.01)


def test_pattern_3_takes_each_kind_of_network_by_itself() -> None:
    cells = [
        cell("centralized", 4, spread(1e-3), kind="tree"),
        cell("centralized", 8, spread(2e-3), kind="tree"),
        cell("centralized", 16, spread(4e-3), kind="tree"),
        cell("centralized", 4, spread(1e-2), kind="linear"),
        cell("centralized", 16, spread(4e-2), kind="linear"),
        cell("centralized", 64, spread(1e-5), kind="dumbbell"),
        cell("centralized", None, spread(1e-3), kind="unknown"),
    ]
    found = host_scaling.grows_with_hosts(evidence(cells))
    assert found.parts[0].estimate is not None
    assert found.parts[0].estimate.value == pytest.approx(2.0, rel=0.01)
    reasons = {item.cell: item.reason for item in found.left_out}
    assert reasons["centralized/dumbbell-64"].startswith("the only size of dumbbell")
    assert reasons["centralized/unknown-None"] == "number of hosts unknown"


def test_pattern_4_compares_growth() -> None:
    found = host_scaling.grows_faster_centralized(evidence(both(growing(1.4))))
    assert found.verdict == "supported"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(1.4, rel=0.01)
    slower = host_scaling.grows_faster_centralized(evidence(both(growing(0.7))))
    assert slower.verdict == "contradicted"


def test_pattern_4_is_open_when_ratio_and_difference_disagree() -> None:
    # Centralized doubles from little, direct grows by a third from much.
    cells = [
        made
        for n in (4, 8, 16, 32)
        for made in (
            cell("centralized", n, spread(2.5e-5 * n)),
            cell("decentralized", n, spread(1e-2 * (1 + n / 16))),
        )
    ]
    found = host_scaling.grows_faster_centralized(evidence(cells))
    assert found.parts[0].verdict == "supported"
    assert found.verdict == "undecided"
    assert "which disagrees" in found.sentence


def test_pattern_5_names_shapes() -> None:
    square = {n: 1 + (n / 16) ** 2 for n in (4, 8, 16, 24, 32, 48)}
    samples = select(both(square), ())
    found = host_scaling.is_quadratic(
        Evidence.of(samples, 0.05), growth_results(samples)
    )
    assert [part.verdict for part in found.parts] == ["supported", "contradicted"]
    assert found.verdict == "contradicted"
    assert "centralized on tree: quadratic, ahead of" in found.sentence
    assert "decentralized on tree: constant" in found.sentence


def all_of(cells: Sequence[Sample]) -> tuple[PatternResult, ...]:
    samples = select(cells, [LeftOut("centralized/x", "failed: it broke")])
    return decide(Evidence.of(samples, 0.05), growth_results(samples))


def test_left_out_cells_are_listed_by_every_pattern() -> None:
    for found in all_of(both(growing(1.5))):
        assert LeftOut("centralized/x", "failed: it broke") in found.left_out


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [cell("centralized", 4, [1e-3])],
        [cell("decentralized", 4, spread(1e-3))],
        both({4: 1.0}, runs=1),
        both({4: 1.0}, runs=2),
        both({4: 1.0}),
        [cell("centralized", None, spread(1e-3)), cell("decentralized", None, [1.0])],
        [cell("centralized", 4, [1e-3] * 5), cell("decentralized", 4, [1e-3] * 5)],
    ],
    ids=["none", "one", "direct", "1 run", "2 runs", "1 size", "no hosts", "equal"],
)
def test_too_little_is_undecided_and_says_why(cells: list[Sample]) -> None:
    for found in all_of(cells):
        assert found.verdict == "undecided"
        assert found.sentence.endswith(".")


def test_two_sizes_do_not_tell_growth_from_networks_that_differ() -> None:
    found = host_scaling.grows_with_hosts(evidence(both(growing(3.0, (4, 8)))))
    assert found.verdict == "undecided"
    assert "2 networks: too few sizes to tell growth from how" in found.sentence


def test_two_runs_tell_values_but_no_verdict() -> None:
    found = all_of(both({4: 2.0, 8: 2.0}, runs=2))
    assert found[0].estimate is not None
    assert found[0].estimate.low is None
    assert "nothing is decided" in found[0].notes[0]


def test_cells_of_few_runs_are_left_out_beside_others() -> None:
    cells = [*both({4: 1.5, 8: 1.5}), cell("centralized", 16, [1e-3, 2e-3])]
    found = all_of(cells)[0]
    assert "centralized/tree-16" not in found.used
    assert LeftOut("centralized/tree-16", "2 runs counted; an interval needs 3") in (
        found.left_out
    )
