"""No text leaves a figure or covers another, whatever the data are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import perf_analysis
from support.perf_figures import cell, log_normal, outside, overlapping
from support.perf_sweeps import write_sweep
from support.rings import full_size

from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network
from pubsub_perf.plots.box_plot import box_figure
from pubsub_perf.plots.ecdf import ecdf_figure
from pubsub_perf.plots.growth import growth_figure
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.publisher_lateness import lateness_figure
from pubsub_perf.plots.registry import (
    NETWORK_FIGURES,
    SWEEP_FIGURES,
    NetworkData,
    NetworkFigure,
    SweepData,
    SweepFigure,
)
from pubsub_perf.plots.text_layout import listed, wrap
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.timeseries import read_series

Make = Callable[[Sequence[CellSummary]], Drawing | None]

NETWORKS = (
    topologies.single_switch(4),
    topologies.tree(2, 4),
    topologies.dumbbell(16),
    topologies.linear(40),
    topologies.single_switch(64),
)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> list[CellSummary]:
    folder = tmp_path_factory.mktemp("sweep")
    write_sweep(
        folder,
        NETWORKS,
        runs=2,
        events=4,
        lose=3,
        fidelity={("centralized", 64): "saturated", ("decentralized", 64): "strained"},
    )
    return [summary_of(cell) for cell in read_dataset(folder).cells]


def check(drawing: Drawing | None) -> None:
    assert drawing is not None
    assert outside(drawing) == []
    assert overlapping(drawing) == []


@pytest.mark.parametrize("figure", NETWORK_FIGURES, ids=lambda figure: figure.name)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_text_of_a_network_stays_in_its_place(
    summary: list[CellSummary], network: Network, figure: NetworkFigure
) -> None:
    cells = [m for m in summary if m.cell.network == network.name]
    series = [one for m in cells if (one := read_series(m)[0]) is not None]
    check(figure.draw(NetworkData(cells, series)))


@pytest.mark.parametrize("make", [growth_figure, lateness_figure])
def test_text_over_all_networks_stays_in_its_place(
    summary: list[CellSummary], make: Make
) -> None:
    check(make(summary))


@pytest.mark.parametrize("figure", SWEEP_FIGURES, ids=lambda figure: figure.name)
@pytest.mark.parametrize("kinds", [("tree",), ("dumbbell", "single-switch", "tree")])
def test_text_of_a_sweep_stays_in_its_place(
    summary: list[CellSummary], figure: SweepFigure, kinds: tuple[str, ...]
) -> None:
    check(figure.draw(SweepData(summary, perf_analysis.analysis(kinds=kinds))))


def test_a_long_legend_stays_in_the_figure() -> None:
    cells = [
        cell(log_normal(1.72e-3, 8450), expected=8450, lost=0, network="t-27hosts"),
        cell(
            log_normal(1.65e-3, 8450),
            model="decentralized",
            expected=8450,
            lost=0,
            network="t-27hosts",
        ),
    ]
    check(ecdf_figure(cells))


letters = st.characters(min_codepoint=32, max_codepoint=126)
names = st.text(letters, min_size=1, max_size=90)


def test_text_that_leaves_a_figure_or_covers_another_is_noticed() -> None:
    drawing = box_figure([cell([1e-3, 2e-3])])
    assert drawing is not None
    drawing.figure.text(0.9, 0.5, "far too long to be here")
    drawing.figure.text(0.02, 0.95, "on top of the title")
    assert outside(drawing) == ["far too long to be here"]
    title = "tree-d3f2-8hosts: latency"
    assert overlapping(drawing)[0] == (title, "on top of the title")


@settings(max_examples=50 if full_size() else 2)
@given(
    name=names,
    median_s=st.floats(1e-7, 1e4),
    count=st.integers(1, 3000),
    expected=st.integers(3000, 10**12),
    verdict=st.sampled_from(["ok", "strained", "saturated"]),
)
def test_no_text_leaves_a_figure(
    name: str, median_s: float, count: int, expected: int, verdict: str
) -> None:
    cells = [
        cell(
            median_s * np.linspace(0.5, 9, count),
            model=model,
            network=name,
            kind=name,
            hosts=hosts,
            expected=expected,
            lost=expected - count,
            fidelity=verdict,
        )
        for hosts in (4, 999)
        for model in ("centralized", "decentralized")
    ]
    for make in (box_figure, ecdf_figure, growth_figure):
        drawing = make(cells)
        assert drawing is not None
        assert outside(drawing) == []


@settings(max_examples=1000 if full_size() else 50)
@given(names, st.floats(0.2, 5))
def test_wrapping_loses_no_letter(text: str, width_in: float) -> None:
    lines = wrap(text, width_in, 9.0)
    assert lines.split() == text.split() or "".join(lines.split()) == "".join(
        text.split()
    )


def test_lists_break_between_their_items() -> None:
    items = ["n = 1,000", "4 lost of 1,004", "a machine that was busy"]
    assert (
        listed(items, 9.0, 9.0) == "n = 1,000, 4 lost of 1,004, a machine that was busy"
    )
    broken = listed(items, 1.8, 9.0)
    assert broken == "n = 1,000, 4 lost of 1,004,\na machine that was busy"


def test_files_of_a_sweep_are_where_tests_expect_them(tmp_path: Path) -> None:
    write_sweep(tmp_path, NETWORKS[:1], runs=2, events=2)
    folder = tmp_path / "data/centralized/single-switch-4hosts/run-2"
    assert (folder / "events/subscriber-0.csv.gz").exists()
    assert read_dataset(tmp_path).problems == ()
