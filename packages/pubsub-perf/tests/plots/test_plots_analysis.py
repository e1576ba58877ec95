"""Figures of an analysis: intervals, fitted curves, residuals, and the queue."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support import perf_analysis
from support.perf_analysis import SIZES, analysis, cell
from support.perf_figures import axes_of, texts, xs, ys

from pubsub_perf.analysis.values.results import Estimate, QueueingView
from pubsub_perf.plots import style
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.queueing import queueing_figure
from pubsub_perf.plots.residuals import residual_figure
from pubsub_perf.plots.scaling import scaling_figure

BLUE = style.of_model("centralized").colour


def made(drawing: Drawing | None) -> Drawing:
    assert drawing is not None
    return drawing


def flat(drawing: Drawing) -> str:
    return texts(drawing).replace("\n", " ")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_analysis_gives_the_same_bytes(kind: str) -> None:
    for make in (
        scaling_figure,
        residual_figure,
        lambda a: queueing_figure(a.queueing),
    ):
        assert made(make(analysis())).render(kind) == made(make(analysis())).render(
            kind
        )


# Latency against hosts.


def test_marks_are_the_estimates_and_bars_their_intervals() -> None:
    found = analysis()
    median, p99 = axes_of(made(scaling_figure(found)))
    for ax, field in ((median, "p50_s"), (p99, "p99_s")):
        factor = 1e3 if "ms" in ax.get_ylabel() else 1e6
        marks = {
            (x, round(y, 6))
            for line in ax.lines
            if line.get_marker() in ("o", "s", "x") and len(xs(line)) == 1
            for x, y in zip(xs(line), ys(line), strict=True)
        }
        for result in found.cells:
            estimate = getattr(result, field)
            assert (result.hosts, round(estimate.value * factor, 6)) in marks
        bars = sorted(
            tuple(np.asarray(path.vertices)[:, 1].tolist())
            for collection in ax.collections
            for path in collection.get_paths()
        )
        ends = sorted(
            (getattr(c, field).low, getattr(c, field).high) for c in found.cells
        )
        assert bars == [
            pytest.approx((low * factor, high * factor)) for low, high in ends
        ]


def test_both_panels_have_one_unit() -> None:
    median, p99 = axes_of(made(scaling_figure(analysis())))
    assert (median.get_ylabel(), p99.get_ylabel()) == ("median (ms)", "p99 (ms)")


def test_fitted_curves_are_drawn_and_named() -> None:
    found = analysis()
    drawing = made(scaling_figure(found))
    median, p99 = axes_of(drawing)
    curves = [line for line in median.lines if len(xs(line)) == 30]
    assert {line.get_linestyle() for line in curves} == {"-", "--"}
    best = found.growth[0].shapes[0]
    assert ys(curves[0]) == pytest.approx([p.latency_s * 1e3 for p in best.curve])
    assert not [line for line in p99.lines if len(xs(line)) == 30]
    assert "centralized: quadratic (decided)" in texts(drawing)
    assert "decentralized: linear (best, not decided)" in texts(drawing)
    assert "95 % interval by bootstrap over runs" in flat(drawing)


def test_cells_that_do_not_count_are_crossed_and_ringed() -> None:
    drawing = made(scaling_figure(analysis()))
    (median, _) = axes_of(drawing)
    crosses = [line for line in median.lines if line.get_marker() == "x"]
    assert [xs(line) for line in crosses] == [[32.0]]
    assert "In 1 cell (ringed) the machine was strained or saturated" in flat(drawing)
    assert "Cross: no verdict counts this cell." in flat(drawing)
    calm = dataclasses.replace(
        analysis(), cells=tuple(c for c in analysis().cells if c.counted)
    )
    assert "ringed" not in flat(made(scaling_figure(calm)))


def test_each_kind_of_network_has_its_panels() -> None:
    found = analysis(kinds=("linear", "tree"))
    alone = cell(kind="dumbbell", hosts=16)
    more = dataclasses.replace(found, cells=(*found.cells, alone))
    drawing = made(scaling_figure(more))
    assert len(axes_of(drawing)) == 4
    assert "Not shown, because their kind has one size: dumbbell-16hosts." in flat(
        drawing
    )


def test_curves_without_intervals_say_so() -> None:
    drawing = made(scaling_figure(analysis(runs=1)))
    assert "No intervals: they need several runs of each cell" in flat(drawing)


def test_neither_interval_nor_curve_is_left_to_the_plain_figure() -> None:
    assert scaling_figure(analysis(runs=1, growth=())) is None
    assert scaling_figure(analysis(cells=(), growth=())) is None
    one = analysis(growth=())
    assert scaling_figure(dataclasses.replace(one, cells=one.cells[:2])) is None


def test_why_there_is_no_curve_is_said() -> None:
    found = analysis()
    bare = dataclasses.replace(
        found.growth[0], shapes=(), note="4 sizes; a shape needs 6"
    )
    drawing = made(scaling_figure(dataclasses.replace(found, growth=(bare,))))
    assert "No curve for tree, centralized: 4 sizes; a shape needs 6." in flat(drawing)


# Residuals.


def test_residuals_are_those_of_the_shape_that_is_ahead() -> None:
    found = analysis()
    drawing = made(residual_figure(found))
    left, _right = axes_of(drawing)
    (points,) = (line for line in left.lines if line.get_linestyle() == "None")
    assert ys(points) == pytest.approx(list(found.growth[0].shapes[0].residuals))
    assert xs(points) == [point.hosts for point in found.growth[0].points]
    assert left.get_ylim()[0] == -left.get_ylim()[1]
    assert "quadratic decided; linear +3.0" in texts(drawing)
    assert "linear ahead, undecided; quadratic +3.0" in texts(drawing)


def test_where_no_shape_fits_no_curve_is_drawn() -> None:
    found = analysis()
    first = dataclasses.replace(found.growth[0], no_shape=True, decided=None)
    both = dataclasses.replace(found, growth=(first, *found.growth[1:]))
    drawing = made(scaling_figure(both))
    median, _ = axes_of(drawing)
    assert "centralized: no shape fits" in texts(drawing)
    assert "Where no shape fits, a line joins the sizes." in flat(drawing)
    (joined,) = (
        line for line in median.lines if line.get_color() == BLUE and len(xs(line)) == 6
    )
    assert xs(joined) == list(SIZES)
    assert "no shape fits; the nearest is quadratic" in flat(
        made(residual_figure(both))
    )


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(1.1, "+5 %"), (2.0, "x1.5"), (40.0, "x10"), (1e5, "x1,000")],
)
def test_large_residuals_have_round_factors(factor: float, expected: str) -> None:
    found = analysis()
    growth = found.growth[0]
    best = dataclasses.replace(
        growth.shapes[0], residuals=tuple(float(np.log(factor)) for _ in growth.points)
    )
    far = dataclasses.replace(growth, shapes=(best, *growth.shapes[1:]), no_shape=True)
    (ax,) = axes_of(made(residual_figure(dataclasses.replace(found, growth=(far,)))))
    ticks = ax.yaxis.get_major_formatter().format_ticks(
        [v for v in ax.get_yticks() if v > 0]
    )
    assert ticks[0].replace("\N{MULTIPLICATION SIGN}", "x") == expected


def test_the_line_of_a_shape_is_the_mean_at_each_size() -> None:
    found = analysis()
    growth = found.growth[0]
    left, _ = axes_of(made(residual_figure(found)))
    (line,) = (
        line for line in left.lines if line.get_color() == BLUE and len(xs(line)) == 6
    )
    assert xs(line) == list(SIZES)
    residuals = np.array(growth.shapes[0].residuals).reshape(len(SIZES), 5)
    assert ys(line) == pytest.approx(residuals.mean(axis=1).tolist())


def test_without_fits_there_are_no_residuals() -> None:
    assert residual_figure(analysis(growth=())) is None


# The queue.


def test_the_queue_is_drawn_measured_and_predicted() -> None:
    view = perf_analysis.queueing()
    drawing = made(queueing_figure(view))
    top, bottom = axes_of(drawing)
    factor = 1e3 if "(ms" in top.get_ylabel() else 1e6
    dashes = [ys(line)[0] for line in top.lines if line.get_marker() == "_"]
    predictions = [(p.predicted_s, p.predicted_periodic_s) for p in view.points]
    assert dashes == pytest.approx(
        [value * factor for pair in predictions for value in pair if value is not None]
    )
    assert "predicted mean, fixed intervals" in texts(drawing)
    curve = max(top.lines, key=lambda line: len(xs(line)))
    assert len(xs(curve)) > 20
    assert any(set(xs(line)) == {33} for line in top.lines)
    assert bottom.get_ylabel() == "utilisation"
    assert "The broker is full at 33 hosts." in flat(drawing)
    assert "39.0 µs per event" in flat(drawing)


def test_without_a_prediction_there_is_no_queue() -> None:
    assert queueing_figure(QueueingView()) is None
    view = perf_analysis.queueing()
    blind = tuple(dataclasses.replace(p, predicted_s=None) for p in view.points)
    assert queueing_figure(dataclasses.replace(view, points=blind)) is None


def test_an_overloaded_machine_is_said_of_the_queue() -> None:
    drawing = made(queueing_figure(perf_analysis.queueing(), {"tree-32hosts", "other"}))
    assert "In 1 cell (ringed) the machine was strained or saturated" in flat(drawing)
    top, _ = axes_of(drawing)
    size = style.RING["markersize"]
    rings = [line for line in top.lines if line.get_markersize() == size]
    assert [xs(line) for line in rings] == [[32.0]]
    assert "ringed" not in flat(made(queueing_figure(perf_analysis.queueing())))


def test_missing_predictions_are_counted() -> None:
    view = perf_analysis.queueing()
    first = dataclasses.replace(view.points[0], predicted_s=None, cpu_utilisation=None)
    rest = dataclasses.replace(
        view, points=(first, *view.points[1:]), curve=(), full_at_hosts=None
    )
    text = flat(made(queueing_figure(rest)))
    assert "No prediction for 1 cell" in text
    assert "full at" not in text


def test_an_estimate_without_interval_has_no_bar() -> None:
    found = analysis()
    bare = dataclasses.replace(found.cells[0], p50_s=Estimate(5e-4), p99_s=None)
    cells = (bare, *found.cells[1:])
    drawing = made(scaling_figure(dataclasses.replace(found, cells=cells)))
    median, p99 = axes_of(drawing)
    assert len(median.collections) == len(found.cells) - 1
    assert len(p99.collections) == len(found.cells) - 1
    assert "No bar: too few runs for an interval." in flat(drawing)
