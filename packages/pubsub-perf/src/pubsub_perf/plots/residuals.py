"""The residuals of the fitted curves: measured over fitted, against hosts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator

from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import Analysis, GrowthResult, ShapeFit
from pubsub_perf.plots import style
from pubsub_perf.plots.figure_frame import FrameTexts, PanelRow, figure_frame
from pubsub_perf.plots.hosts_axis import hosts_axis
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.scaling_captions import chosen
from pubsub_perf.plots.text_layout import shortened, wrap

_WIDTH_IN: Final = 7.6
_TITLE_IN: Final = 3.1
_TICK_DISTANCE: Final = 0.1
_MAX_NAME: Final = 24
# Wider axes (more than a factor of 1.65) show factors, not per cent.
_FACTORS_FROM: Final = 0.5
_SMALL: Final = (1.5, 2.0, 3.0, 5.0)
_DASHES: Final[dict[str, Any]] = {
    "constant": ":",
    "linear": "--",
    "n log n": "-.",
    "quadratic": (0, (7, 1.5)),
    "saturation": (0, (1, 3)),
}


def residual_figure(analysis: Analysis) -> Drawing | None:
    """A panel for each fit, in the order of kinds and models; None without fits."""
    fits = sorted(
        (g for g in analysis.growth if g.shapes), key=lambda g: (g.kind, g.model)
    )
    if not fits:
        return None
    # One scale for all, except for series that no shape fits: these would flatten the others.
    common = _reach([fit for fit in fits if not fit.no_shape])
    texts = FrameTexts(
        "Residuals of the fitted curves",
        "measured / fitted, of the median of each run, on a log scale",
        [
            "Marks: runs against the shape that is ahead. Lines: mean at each size, of "
            "that shape and of the others. A good shape scatters about 1 with no trend; "
            "a bad one may leave the axes. Above: the next best shape, and how much its "
            "AICc is larger."
        ],
    )
    columns = 2 if len(fits) > 1 else 1
    rows = [fits[i : i + columns] for i in range(0, len(fits), columns)]
    with style.applied():
        panel_rows = [PanelRow(len(row)) for row in rows]
        frame = figure_frame(
            _WIDTH_IN,
            0.2 + 2.4 * len(rows),
            texts,
            panel_rows=panel_rows,
            handles=_legend(fits),
        )
        for band, row in zip(frame.panel_rows, rows, strict=True):
            for ax, fit in zip(band, row, strict=True):
                _draw(ax, fit, _reach([fit]) if fit.no_shape else common)
                if ax is band[0]:
                    ax.set_ylabel("residual")
            if band is frame.panel_rows[-1] or len(row) < columns:
                for ax in band:
                    ax.set_xlabel("hosts")
        frame.fit()
    return Drawing(frame.figure, _description(fits))


def _reach(fits: Sequence[GrowthResult]) -> float:
    """The largest residual on the axes; residuals of a bad shape may be outside."""
    best = [abs(r) for fit in fits for r in chosen(fit).residuals]
    return 1.35 * max([*best, 0.05])


def _draw(ax: Axes, fit: GrowthResult, reach: float) -> None:
    look = style.of_model(fit.model)
    hosts = np.array([point.hosts for point in fit.points])
    sizes = sorted(set(hosts.tolist()))
    ax.axhline(0, color=style.INK, linewidth=0.9)
    best = chosen(fit)
    for shape in fit.shapes:
        if shape is not best:
            ax.plot(sizes, _means(shape, hosts, sizes), zorder=2, **_line(shape.name))
    ax.plot(sizes, _means(best, hosts, sizes), zorder=2.5, **_ahead(look))
    ax.plot(hosts, best.residuals, linestyle="none", zorder=3, **_mark(look))
    ax.set_ylim(-reach, reach)
    ax.yaxis.set_major_locator(_locator(reach))
    said = _percent if reach < _FACTORS_FROM else _factor
    ax.yaxis.set_major_formatter(FuncFormatter(said))
    ax.grid(visible=True, axis="y")
    hosts_axis(ax, sizes, label=False, tick_distance=_TICK_DISTANCE)
    ax.set_title(_title(fit), fontsize=9, loc="left")


def _locator(reach: float) -> Locator:
    """Ticks of residuals up to ``reach``: round per cents, or round factors."""
    if reach < _FACTORS_FROM:
        rounds = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(-reach, reach)
        return FixedLocator([math.log1p(share) for share in rounds])
    step = math.ceil(reach / math.log(10) / 3)
    factors = (
        [10.0 ** (step * k) for k in (1, 2, 3)] if reach > math.log(10) else _SMALL
    )
    ticks = [math.log(factor) for factor in factors if math.log(factor) <= reach]
    return FixedLocator([*(-tick for tick in ticks), 0.0, *ticks])


def _percent(value: float, _position: int | None = None) -> str:
    return "0 %" if abs(value) < 1e-9 else f"{100 * math.expm1(value):+.3g} %"


def _factor(value: float, _position: int | None = None) -> str:
    if abs(value) < 1e-9:
        return "1"
    sign = "\N{MULTIPLICATION SIGN}" if value > 0 else "\N{DIVISION SIGN}"
    # A tick at ln 1000 is 999.999… otherwise.
    return f"{sign}{wording.number(round(math.exp(abs(value)), 6))}"


def _line(name: str) -> dict[str, Any]:
    dashes = _DASHES.get(name, (0, (4, 1, 1, 1, 1, 1)))
    return {"color": "#6e6e6e", "linestyle": dashes, "linewidth": 1.3}


def _ahead(look: style.ModelStyle) -> dict[str, Any]:
    return {"color": look.colour, "linestyle": look.line, "linewidth": 1.7}


def _mark(look: style.ModelStyle) -> dict[str, Any]:
    return style.mark(look, look.marker) | {"markersize": 4.5}


def _title(fit: GrowthResult) -> str:
    head = f"{shortened(fit.kind, _MAX_NAME)}, {fit.model}"
    best = chosen(fit)
    others = [shape for shape in fit.shapes if shape is not best]
    state = "decided" if fit.decided else "ahead, undecided"
    text = f"{best.name} {state}"
    if fit.no_shape:
        text = f"no shape fits; the nearest is {best.name}"
    elif others:
        second = min(others, key=lambda shape: shape.delta)
        text += f"; {second.name} +{second.delta - best.delta:.1f}"
    return f"{head}\n{wrap(text, _TITLE_IN, 9.0)}"


def _legend(fits: Sequence[GrowthResult]) -> list[Line2D]:
    handles = []
    for model in sorted({fit.model for fit in fits}):
        look = style.of_model(model)
        label = f"{model}: the shape that is ahead"
        handles.append(Line2D([], [], label=label, **_ahead(look), **_mark(look)))
    names = dict.fromkeys(shape.name for fit in fits for shape in fit.shapes)
    ahead = {chosen(fit).name for fit in fits}
    if len(fits) == 1:
        names = dict.fromkeys(name for name in names if name not in ahead)
    others = [Line2D([], [], label=name, **_line(name)) for name in names]
    return handles + others


def _means(
    shape: ShapeFit, hosts: np.ndarray[tuple[int], np.dtype[np.int64]], sizes: list[int]
) -> list[float]:
    residuals = np.array(shape.residuals)
    return [float(residuals[hosts == size].mean()) for size in sizes]


def _description(fits: Sequence[GrowthResult]) -> str:
    parts = []
    for fit in fits:
        best = chosen(fit)
        largest = max(map(abs, best.residuals))
        parts.append(
            f"{fit.model} on {fit.kind}: {best.name} leaves at most "
            f"{wording.spread(largest)}"
        )
    return f"Residuals of the fitted curves against hosts. {'; '.join(parts)}."
