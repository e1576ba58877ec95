"""Figures: their content, their axes, and equal bytes for equal data."""

from __future__ import annotations

import ast
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from support.perf_figures import axes_of, cell, draw, log_normal, texts, xs, ys

import pubsub_perf
from pubsub_perf.plots.axes import extent
from pubsub_perf.plots.box_plot import box_figure
from pubsub_perf.plots.ecdf import ecdf_figure
from pubsub_perf.plots.growth import growth_figure
from pubsub_perf.plots.output import save
from pubsub_perf.results.cell_summary import CellSummary

FIGURES = [box_figure, ecdf_figure, growth_figure]


@pytest.fixture
def pair() -> list[CellSummary]:
    return [
        cell(log_normal(600e-6, 396), expected=400, lost=4),
        cell(log_normal(450e-6, 400), model="decentralized", expected=400, lost=0),
    ]


@pytest.fixture
def sizes() -> list[CellSummary]:
    return [
        cell(
            log_normal(1e-4 * hosts),
            model=model,
            network=f"{kind}-{hosts}hosts",
            kind=kind,
            hosts=hosts,
            expected=1001,
            lost=1,
        )
        for hosts in (4, 8, 16)
        for kind in ("single-switch", "linear")
        for model in ("centralized", "decentralized")
    ]


# Files.


def test_a_figure_is_a_png_of_150_dpi_and_an_svg(
    pair: list[CellSummary], tmp_path: Path
) -> None:
    png, svg = save(draw(box_figure, pair), tmp_path / "tree.v2-box")
    assert (png.name, svg.name) == ("tree.v2-box.png", "tree.v2-box.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == [png.name, svg.name]
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    per_metre, _, unit = struct.unpack(
        ">IIB", content[content.index(b"pHYs") + 4 :][:9]
    )
    assert (round(per_metre * 0.0254), unit) == (150, 1)
    pixels = imread(io.BytesIO(content))
    assert pixels.shape[0] > 500
    assert pixels.shape[1] > 800
    assert 0.02 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.5
    assert svg.read_text().startswith("<?xml")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_data_gives_the_same_bytes(pair: list[CellSummary], kind: str) -> None:
    first, second = (draw(ecdf_figure, pair).render(kind) for _ in range(2))
    assert zlib.crc32(first) == zlib.crc32(second)
    assert b"Matplotlib" not in first
    assert b"purl.org" not in first


@pytest.mark.parametrize("make", [box_figure, ecdf_figure])
def test_many_samples_do_not_make_a_huge_svg(make: Any) -> None:
    samples = np.random.default_rng(1).pareto(1.1, 200_000) / 1000 + 1e-5
    assert len(draw(make, [cell(samples)]).render("svg")) < 600_000


# Content.


def test_boxes_state_samples_and_loss_of_both_models(pair: list[CellSummary]) -> None:
    text = texts(draw(box_figure, pair))
    assert "tree-d3f2-8hosts" in text
    assert "8 hosts, 4 publishers to 3 subscribers" in text
    assert "centralized\nn = 396\n4 lost of 400" in text
    assert "decentralized\nn = 400\n0 lost of 400" in text
    assert "Whiskers: the last sample within 1.5 times" in text.replace("\n", " ")
    assert "one-way latency (ms)" in text


def test_boxes_are_quartiles_and_whiskers_samples_within_the_fences() -> None:
    samples = [*range(100, 200), 1000, 2000, 3000]  # in ms
    (ax,) = axes_of(draw(box_figure, [cell(np.array(samples) * 1e-3)]))
    (box,) = ax.patches
    low, high = np.percentile(samples, [25, 75], method="inverted_cdf")
    heights = np.asarray(box.get_path().vertices)[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((low, high))
    assert ys(ax.lines[-1]) == pytest.approx([1000, 2000, 3000])
    ends = {round(y) for line in ax.lines[:-1] for y in ys(line)}
    assert {100, 199} <= ends


@pytest.mark.parametrize(("factor", "scale"), [(9, "linear"), (11, "log"), (51, "log")])
def test_a_wide_range_gets_a_log_axis(factor: float, scale: str) -> None:
    (ax,) = axes_of(draw(box_figure, [cell([1e-4, 2e-4, factor * 1e-4])]))
    assert ax.get_yscale() == scale
    assert ("log scale" in ax.get_ylabel()) is (scale == "log")


@pytest.mark.parametrize(("median_s", "unit"), [(4e-5, "µs"), (4e-3, "ms"), (4.0, "s")])
def test_the_unit_follows_the_magnitude(median_s: float, unit: str) -> None:
    (_, ax) = axes_of(draw(ecdf_figure, [cell(log_normal(median_s))]))
    assert ax.get_xlabel() == f"one-way latency ({unit}, log scale)"


def test_the_distribution_is_exact_where_it_is_marked(pair: list[CellSummary]) -> None:
    drawing = draw(ecdf_figure, pair)
    ax, _ = axes_of(drawing)
    assert ax.get_xscale() == "log"
    marks = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    for line, summary in zip(marks, pair, strict=True):
        assert ys(line) == [0.5, 0.9, 0.99]
        expected = np.percentile(
            summary.ordered * 1e3, [50, 90, 99], method="inverted_cdf"
        )
        assert xs(line) == pytest.approx(list(expected))
    text = texts(drawing)
    assert "n = 396\n4 lost of 400" in text
    for name in ("p50", "p90", "p99"):
        assert name in text


def test_the_curve_is_the_fraction_of_samples_at_or_below() -> None:
    summary = cell(log_normal(2e-3, 20_000))
    ax, _ = axes_of(draw(ecdf_figure, [summary]))
    curve = next(line for line in ax.lines if len(xs(line)) > 10)
    at_or_below = [
        float((summary.ordered * 1e3 <= x * (1 + 1e-12)).mean()) for x in xs(curve)
    ]
    assert ys(curve) == pytest.approx(at_or_below, abs=1 / 1000)
    assert (ys(curve)[0], ys(curve)[-1]) == (0, 1)


def test_the_tail_is_the_fraction_of_samples_at_or_above() -> None:
    summary = cell(log_normal(2e-3, 20_000))
    _, ax = axes_of(draw(ecdf_figure, [summary]))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    curve = next(line for line in ax.lines if len(xs(line)) > 10)
    at_or_above = [
        float((summary.ordered * 1e3 >= x * (1 - 1e-12)).mean()) for x in xs(curve)
    ]
    assert ys(curve) == pytest.approx(at_or_above, rel=1e-9)
    assert [ys(curve)[0], ys(curve)[-1]] == pytest.approx([1, 1 / 20_000])
    (marks,) = (line for line in ax.lines if line.get_marker() == "o")
    assert ys(marks) == [0.1, 0.01, 0.001]
    expected = summary.ordered[[18_000 - 1, 19_800 - 1, 19_980 - 1]] * 1e3
    assert xs(marks) == pytest.approx(list(expected))


def test_the_tail_of_few_samples_has_no_p999() -> None:
    drawing = draw(ecdf_figure, [cell(log_normal(2e-3, 200))])
    _, ax = axes_of(drawing)
    (marks,) = (line for line in ax.lines if line.get_marker() == "o")
    assert ys(marks) == [0.1, 0.01]
    assert ax.get_ylim()[0] > 0.001
    assert "p99.9 n/a" in texts(drawing)


def test_values_a_log_axis_cannot_show_are_counted() -> None:
    summary = cell([-1e-3, 0.0, *log_normal(1e-3, 98)])
    drawing = draw(ecdf_figure, [summary])
    ax, _ = axes_of(drawing)
    curve = next(line for line in ax.lines if len(xs(line)) > 10)
    assert ys(curve)[0] == pytest.approx(0.02)
    assert "2 values of 0 or less cannot be drawn" in texts(drawing).replace("\n", " ")


@pytest.mark.parametrize("make", [box_figure, ecdf_figure])
def test_models_differ_in_more_than_colour(make: Any, pair: list[CellSummary]) -> None:
    ax, *_ = axes_of(draw(make, pair))
    assert len({line.get_linestyle() for line in ax.lines}) > 2
    if ax.patches:
        assert len({patch.get_hatch() for patch in ax.patches}) == 2


@pytest.mark.parametrize("make", FIGURES)
@pytest.mark.parametrize("verdict", ["strained", "saturated", "ok"])
def test_an_overloaded_machine_is_marked(make: Any, verdict: str) -> None:
    cells = [
        cell(log_normal(1e-3), fidelity=verdict),
        cell(log_normal(1e-3), hosts=16, network="tree-d3f2-8hosts"),
    ]
    text = texts(draw(make, cells))
    assert ("machine strained" in text or f"machine {verdict}" in text) is (
        verdict != "ok"
    )


@pytest.mark.parametrize("make", [box_figure, ecdf_figure])
def test_a_model_without_samples_is_named(make: Any) -> None:
    cells = [
        cell([], outcome="failed"),
        cell(log_normal(1e-3), model="decentralized"),
    ]
    text = texts(draw(make, cells)).replace("\n", " ")
    assert "Not shown: centralized on tree-d3f2-8hosts (failed)." in text


def test_high_percentiles_of_few_samples_are_not_drawn() -> None:
    drawing = draw(ecdf_figure, [cell(log_normal(1e-3, 99))])
    ax, _ = axes_of(drawing)
    assert len(xs(ax.lines[-1])) == 2
    assert "p99 n/a" in texts(drawing)


# Over all networks.


def test_growth_has_a_line_per_model_and_kind(sizes: list[CellSummary]) -> None:
    drawing = draw(growth_figure, sizes)
    median, p99 = axes_of(drawing)
    for ax, field in ((median, "p50_s"), (p99, "p99_s")):
        lines = [line for line in ax.lines if line.get_linestyle() in ("-", "--")]
        assert len(lines) == 4
        factor = 1e6 if "µs" in ax.get_ylabel() else 1e3
        drawn = {tuple(y / factor for y in ys(line)) for line in lines}
        assert {len(values) for values in drawn} == {3}
        expected = sorted({getattr(m.statistics, field) for m in sizes})
        assert sorted({v for line in drawn for v in line}) == pytest.approx(expected)
    assert [tick.get_text() for tick in p99.get_xticklabels()] == ["16", "8", "4"]
    marks = {line.get_marker() for line in median.lines} - {"None"}
    assert marks == {"o", "s"}
    text = texts(drawing)
    assert "centralized\nn = 6,000, 6 lost of 6,006" in text
    for kind in ("single-switch", "linear"):
        assert kind in text


def test_growth_on_linear_axes_begins_at_zero() -> None:
    cells = [cell([4e-3, 5e-3], hosts=4), cell([5e-3, 6e-3], hosts=8)]
    (ax,) = axes_of(draw(growth_figure, cells))
    assert (ax.get_yscale(), ax.get_ylim()[0]) == ("linear", 0)
    assert ax.get_xscale() == "linear"


def test_growth_over_a_wide_range_of_hosts_has_log_axes() -> None:
    cells = [cell([hosts * 1e-3] * 3, hosts=hosts) for hosts in (4, 256)]
    (ax,) = axes_of(draw(growth_figure, cells))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "hosts (log scale)"


def test_growth_needs_two_host_counts(sizes: list[CellSummary]) -> None:
    assert growth_figure([m for m in sizes if m.cell.hosts == 8]) is None
    assert growth_figure([cell([1.0], hosts=None), cell([1.0], hosts=4)]) is None
    assert growth_figure([]) is None


def test_growth_names_what_it_does_not_show(sizes: list[CellSummary]) -> None:
    cells = [
        *sizes,
        cell([], hosts=32, network="x-32hosts", outcome="failed"),
        cell(log_normal(1e-3), hosts=None),
        cell(log_normal(1e-3, 50), hosts=32),
    ]
    text = texts(draw(growth_figure, cells)).replace("\n", " ")
    assert "Not shown: centralized on x-32hosts (failed)." in text
    assert "1 cell with unknown hosts not shown." in text
    assert "No p99 of 1 cell with under 100 samples." in text


def test_growth_passes_through_the_middle_of_equal_sizes() -> None:
    cells = [cell([value * 1e-3] * 3, hosts=8) for value in (1, 2, 9)]
    cells.append(cell([4e-3] * 3, hosts=16))
    drawing = draw(growth_figure, cells)
    (ax,) = axes_of(drawing)
    line = next(line for line in ax.lines if line.get_linestyle() == "-")
    assert ys(line) == pytest.approx([2, 4])
    assert "middle of several cells" in texts(drawing).replace("\n", " ")


# Odd data.


@pytest.mark.parametrize("make", [box_figure, ecdf_figure])
@pytest.mark.parametrize(
    "latencies",
    [
        [5e-4],
        [5e-4] * 50,
        [0.0],
        [0.0] * 20,
        [-1.0, -2.0],
        [-1e12, 1e12],
        [1e-12, 1e12],
        [5e-4, 5.0000001e-4],
    ],
    ids=str,
)
def test_odd_samples_are_drawn(make: Any, latencies: list[float]) -> None:
    drawing = draw(make, [cell(latencies)])
    assert len(drawing.render("png")) > 5000
    assert drawing.description.startswith(("Box plot", "Distribution"))


@pytest.mark.parametrize("make", FIGURES)
def test_nothing_is_drawn_of_no_samples(make: Any) -> None:
    assert make([cell([]), cell([], model="decentralized", hosts=16)]) is None


@pytest.mark.parametrize(
    "name", ["cost-$x$_{3}", "\u65e5\u672c-4hosts", "a b <c> & d", "n" * 300]
)
def test_any_name_can_be_drawn(name: str) -> None:
    cells = [
        cell([1e-3], network=name, kind=name, hosts=hosts, model=model)
        for hosts in (4, 8)
        for model in ("centralized", "decentralized", "data")
    ]
    for make in FIGURES:
        assert len(draw(make, cells).render("svg")) > 5000


samples = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30)


@given(st.lists(samples, min_size=1, max_size=3), st.sampled_from([0.0, 10.0]))
def test_an_axis_holds_what_it_can_show(
    groups: list[list[float]], log_from: float
) -> None:
    arrays = [np.array(group) for group in groups]
    shown = extent(arrays, log_from=log_from)
    every = np.concatenate(arrays)
    drawn = shown.scaled(every) / shown.unit.per_second
    assert len(drawn) + shown.hidden == len(every)
    assert shown.low_s == pytest.approx(drawn.min())
    assert shown.high_s == pytest.approx(drawn.max())
    assert shown.low_s > 0 or not shown.log


@settings(max_examples=8, deadline=None)
@given(samples, samples)
def test_any_samples_can_be_drawn(first: list[float], second: list[float]) -> None:
    cells = [cell(first), cell(second, model="decentralized", hosts=16)]
    for make in FIGURES:
        draw(make, cells).figure.draw_without_rendering()


# The project.


def test_only_plots_import_matplotlib() -> None:
    root = Path(pubsub_perf.__file__).parent
    importers = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            if any(name.split(".")[0] == "matplotlib" for name in names):
                importers.add(path.relative_to(root).parts[0])
            assert "matplotlib.pyplot" not in names
    assert importers == {"plots"}
