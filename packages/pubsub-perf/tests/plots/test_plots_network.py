"""Figures of one network: pairs, topology, time; and lateness over all networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import LogNorm
from support.perf_figures import axes_of, cell, log_normal, texts, xs, ys
from support.perf_sweeps import WARMUP, write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.plots import style
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.pair_heatmap import pair_heatmap_figure
from pubsub_perf.plots.publisher_lateness import lateness_figure
from pubsub_perf.plots.timeline import thinned, timeline_figure
from pubsub_perf.plots.topology import topology_figure
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import SubscriberData
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.event_details_reader import Details
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.timeseries import Series, read_series

KINDS = [
    topologies.tree(2, 3),
    topologies.single_switch(12),
    topologies.linear(10),
    topologies.dumbbell(10),
]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> list[CellSummary]:
    folder = tmp_path_factory.mktemp("sweep")
    overloaded = {("decentralized", 12): "strained"}
    write_sweep(folder, KINDS, runs=2, events=6, lose=1, fidelity=overloaded)
    return [summary_of(found) for found in read_dataset(folder).cells]


def on(sweep: Sequence[CellSummary], hosts: int, kind: str) -> list[CellSummary]:
    return [m for m in sweep if (m.cell.hosts, m.cell.kind) == (hosts, kind)]


def made(drawing: Drawing | None) -> Drawing:
    assert drawing is not None
    return drawing


def timeline(cells: Sequence[CellSummary]) -> Drawing | None:
    found = [read_series(m)[0] for m in cells]
    return timeline_figure([one for one in found if one is not None])


EVERY: list[Callable[[Sequence[CellSummary]], Drawing | None]] = [
    pair_heatmap_figure,
    topology_figure,
    timeline,
    lateness_figure,
]


@pytest.mark.parametrize("make", EVERY)
def test_the_same_cells_give_the_same_bytes(
    sweep: list[CellSummary], make: Any
) -> None:
    cells = on(sweep, 12, "single-switch")
    for kind in ("png", "svg"):
        first, second = (made(make(cells)).render(kind) for _ in range(2))
        assert first == second


@pytest.mark.parametrize("make", EVERY)
def test_an_overloaded_machine_is_said_on_the_figure(
    sweep: list[CellSummary], make: Any
) -> None:
    busy = texts(made(make(on(sweep, 12, "single-switch")))).replace("\n", " ")
    assert "Machine strained (decentralized)" in busy
    assert "describe the machine more than" in busy
    calm = texts(made(make(on(sweep, 9, "tree"))))
    assert "achine strained" not in calm


@pytest.mark.parametrize("make", EVERY[:3])
def test_counts_and_losses_are_on_the_figure(
    sweep: list[CellSummary], make: Any
) -> None:
    text = texts(made(make(on(sweep, 9, "tree")))).replace("\n", " ")
    per_run = 16 * (6 + WARMUP)
    runs = 1 if make is timeline else 2
    assert f"{runs} lost of {per_run * runs}" in text
    assert "warm-up" in text
    assert "9 hosts, 4 publishers to 4 subscribers" in text


@pytest.mark.parametrize("make", EVERY)
def test_nothing_is_drawn_of_nothing(make: Any) -> None:
    assert make([]) is None
    assert make([cell([]), cell([], model="decentralized")]) is None


# Pairs.


def table(size: tuple[int, int], median_s: float = 1e-3, **fields: Any) -> CellSummary:
    """A cell of this many publishers and subscribers, all medians different."""
    publishers, subscribers = size
    files = tuple(
        SubscriberData(
            f"subscriber-{s}",
            s,
            (),
            ("A",),
            median_s * (1 + np.arange(publishers) / 10 + s / 1000),
            streams=tuple((f"10.0.0.{p}:1", "A") for p in range(publishers)),
            stream_of=np.arange(publishers, dtype=np.int32),
        )
        for s in range(subscribers)
    )
    return cell([], files=files, received=publishers * subscribers, **fields)


def test_both_maps_have_one_scale() -> None:
    cells = [table((3, 2)), table((3, 2), 5e-3, model="decentralized")]
    left, right, _bar = axes_of(made(pair_heatmap_figure(cells)))
    images = [left.images[0], right.images[0]]
    assert images[0].norm is images[1].norm
    assert isinstance(images[0].norm, LogNorm)
    assert (images[0].norm.vmin, images[0].norm.vmax) == pytest.approx((1e-3, 6.005e-3))
    expected = 1e-3 * (1 + np.arange(3)[:, None] / 10 + np.arange(2)[None] / 1000)
    np.testing.assert_allclose(np.asarray(images[0].get_array()), expected)


def test_small_maps_have_their_values_written_in() -> None:
    drawing = made(pair_heatmap_figure([table((2, 2), 4e-3)]))
    assert {"4.00", "4.40"} <= set(texts(drawing).split())
    assert "ms" in texts(drawing)
    big = made(pair_heatmap_figure([table((9, 2), 4e-3)]))
    assert "4.40" not in texts(big).split()


def test_a_big_map_is_small_as_a_file() -> None:
    cells = [table((128, 127)), table((128, 127), model="decentralized")]
    drawing = made(pair_heatmap_figure(cells))
    left, *_ = axes_of(drawing)
    pixels = left.images[0].get_array()
    assert pixels is not None
    assert pixels.shape == (128, 127)
    assert len([t for t in left.get_xticklabels() if t.get_text()]) <= 13
    assert len(drawing.render("svg")) < 300_000


def test_pairs_without_events_are_hatched_and_short_ones_marked() -> None:
    full, holes = table((3, 3)), table((3, 3), lost=2, expected=9)
    file = holes.files[1]
    cut = dataclasses.replace(
        file, latencies=file.latencies[:1], stream_of=file.stream_of[:1]
    )
    one = dataclasses.replace(holes, files=(holes.files[0], cut, holes.files[2]))
    text = texts(made(pair_heatmap_figure([one]))).replace("\n", " ")
    assert "Hatched: no event of this pair." in text
    assert "Dot: this pair lacks events." in text
    (ax, _) = axes_of(made(pair_heatmap_figure([one])))
    shown = ax.images[0].get_array()
    assert shown is not None
    assert np.ma.getmaskarray(shown).sum() == 2
    assert xs(ax.lines[-1]) == pytest.approx([1.36, 1.36])
    assert "Hatched" not in texts(made(pair_heatmap_figure([full])))


def test_one_pair_gives_no_map() -> None:
    assert pair_heatmap_figure([table((1, 1))]) is None
    assert pair_heatmap_figure([cell(log_normal(1e-3))]) is None


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(2, 9),
    st.sampled_from([-1.0, 0.0, 1e-12, 1e-3, 1e12]),
)
def test_any_medians_can_be_drawn(rows: int, columns: int, median_s: float) -> None:
    made(pair_heatmap_figure([table((rows, columns), median_s)])).render("svg")


# Topology.


@pytest.mark.parametrize("network", KINDS, ids=lambda network: network.kind)
def test_every_host_is_drawn_by_its_role(
    sweep: list[CellSummary], network: Any
) -> None:
    drawing = made(topology_figure(on(sweep, len(network.hosts), network.kind)))
    left, right, _bar = axes_of(drawing)
    for ax in (left, right):
        marks = [line.get_marker() for line in ax.lines]
        half = (len(network.hosts) - 1) // 2
        assert marks.count("*") == 1
        assert marks.count("^") == len(network.hosts) - 1 - half
        assert marks.count("o") == half
        fills = {str(line.get_markerfacecolor()) for line in ax.lines}
        assert len(fills) > 4
    text = texts(drawing)
    assert "broker" in text
    assert "median one-way latency (" in text


def test_a_limited_trunk_is_thick(sweep: list[CellSummary]) -> None:
    drawing = made(topology_figure(on(sweep, 10, "dumbbell")))
    assert "link of 5 Mbit/s" in texts(drawing)
    widths = [np.atleast_1d(c.get_linewidth()) for c in axes_of(drawing)[0].collections]
    assert max(w[0] for w in widths if len(w)) == 2.4
    tree = made(topology_figure(on(sweep, 9, "tree")))
    assert "Mbit/s\n" not in texts(tree).replace("5 Mbit/s\n", "", 1)


def test_an_unknown_network_is_not_drawn() -> None:
    assert topology_figure([cell(log_normal(1e-3))]) is None
    assert topology_figure([table((2, 2), meta={"topology": {"kind": "ring"}})]) is None


# Time.


def series(count: int, *, warmup: int = 0, runs: int = 1, **fields: Any) -> Series:
    random = np.random.default_rng(count)
    published = np.sort(random.integers(0, 10**10, count))
    published[:1], published[-1:] = 0, 10**10
    latency_ns = random.lognormal(np.log(1e6), 0.2, count).astype(np.int64)
    latency_ns[count // 3] = 77 * 10**6
    details = Details(np.arange(count), published, published + latency_ns)
    summary = cell(details.latencies, **fields)
    return Series(
        summary=summary,
        run=1,
        of_runs=runs,
        details=details,
        warmup=np.arange(count) < warmup,
        lost=3,
        expected=count + 3,
    )


def test_few_events_are_all_drawn() -> None:
    one = series(300)
    (ax,) = axes_of(made(timeline_figure([one])))
    (points,) = (line for line in ax.lines if len(xs(line)) > 2)
    np.testing.assert_allclose(xs(points), one.details.elapsed_s)
    np.testing.assert_allclose(ys(points), one.details.latencies * 1e3)


def test_many_events_are_thinned_and_no_extreme_is_lost() -> None:
    one = series(50_000)
    drawing = made(timeline_figure([one]))
    (ax,) = axes_of(drawing)
    highest = [line for line in ax.lines if line.get_marker() == "o"]
    assert max(y for line in highest for y in ys(line)) == pytest.approx(77)
    text = texts(drawing).replace("\n", " ")
    assert "Thinned to 160 intervals of 62.5 ms" in text
    assert "centralized: p10 to p90" in text
    assert len(drawing.render("svg")) < 250_000


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(-1, 1)), min_size=1, max_size=300),
)
def test_thinning_keeps_the_order_of_its_lines(
    points: list[tuple[float, float]],
) -> None:
    points.sort()
    elapsed_s, latencies = (np.array(column) for column in zip(*points, strict=True))
    found = thinned(elapsed_s, latencies, float(elapsed_s[-1]))
    assert float(found.highest.max()) == latencies.max()
    assert (found.low_s <= found.median_s).all()
    assert (found.median_s <= found.high_s).all()
    assert (found.high_s <= found.highest).all()
    assert (np.diff(found.middle_s) > 0).all()
    assert len(found.middle_s) <= 160


def test_warm_up_is_marked_until_its_last_event() -> None:
    one = series(200, warmup=20)
    drawing = made(timeline_figure([one]))
    (ax,) = axes_of(drawing)
    until = float(one.details.elapsed_s[19])
    assert any(xs(line) == [until, until] for line in ax.lines)
    assert "warm-up, kept out of statistics" in texts(drawing)
    assert "of these 20 warm-up" in texts(drawing)
    assert "warm-up" not in texts(made(timeline_figure([series(200)])))


def test_both_models_are_drawn_on_the_same_axes() -> None:
    slow = series(100, model="decentralized", runs=5)
    drawing = made(timeline_figure([series(400), slow]))
    top, bottom = axes_of(drawing)
    assert (top.get_xlim(), top.get_ylim()) == (bottom.get_xlim(), bottom.get_ylim())
    assert "decentralized\nrun 1 of 5, n = 100, 3 lost of 103" in texts(drawing)
    assert "One run only" in texts(drawing)


@pytest.mark.parametrize("latency_ns", [0, -5, 10**18], ids=str)
def test_odd_times_are_drawn(latency_ns: int) -> None:
    published = np.array([5, 5, 5])
    details = Details(np.arange(3), published, published + latency_ns)
    odd = Series(cell([1.0]), 1, 1, details, np.zeros(3, dtype=bool), None, None)
    made(timeline_figure([odd])).render("svg")


# Lateness.


def lateness(p50: float, p99: float, most: float, **fields: Any) -> CellSummary:
    meta = {"lateness_us": {"p50": p50, "p99": p99, "max": most}}
    return cell(log_normal(1e-3), meta=meta, **fields)


def test_lateness_is_p50_to_p99_and_the_latest() -> None:
    cells = [
        lateness(10, 20, 50, network="a"),
        lateness(30, 40, 60, network="a", model="decentralized"),
        lateness(12, 22, 52, network="b"),
    ]
    drawing = made(lateness_figure(cells))
    (ax,) = axes_of(drawing)
    assert ax.get_ylabel() == "lateness (µs)"
    bars = sorted(tuple(ys(line)) for line in ax.lines if len(ys(line)) == 2)
    assert bars == [(10, 20), (12, 22), (30, 40)]
    dashes = sorted(ys(line)[0] for line in ax.lines if line.get_marker() == "_")
    assert dashes == pytest.approx([50, 52, 60])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["a", "b"]
    assert "highest p99: 40.0 µs" in texts(drawing)


@pytest.mark.parametrize(
    "meta", [None, {}, {"lateness_us": {}}, {"lateness_us": {"p50": "x", "p99": None}}]
)
def test_unknown_lateness_is_not_drawn(meta: Any) -> None:
    cells = [cell(log_normal(1e-3), meta=meta, network=name) for name in "ab"]
    assert lateness_figure(cells) is None


def test_marks_of_models_differ_without_colour() -> None:
    looks = [style.of_model(model) for model in ("centralized", "decentralized", "x")]
    for field in ("line", "hatch", "marker"):
        assert len({getattr(look, field) for look in looks}) == 3
