"""The frame of every figure: title, axes, legend and caption, each with its own space.

All parts are measured and placed in inches from the top. The results of matplotlib's
layout engines differ in the last bits from run to run, and so would the bytes of an SVG
file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pubsub_perf.plots import style
from pubsub_perf.plots.text_layout import listed, text_height, wrap

_MARGIN_IN: Final = 0.1
_GAP_IN: Final = 0.12
_COLUMN_GAP_IN: Final = 0.2
_TITLE_PT: Final = 12.0
_SUBTITLE_PT: Final = 9.0
_ALERT_PT: Final = 9.0
_LEGEND_PT: Final = 9.0
_CAPTION_PT: Final = 8.0
_ALERT_INDENT_IN: Final = 0.1
_HANDLE_IN: Final = 0.6


@dataclasses.dataclass(frozen=True, slots=True)
class FrameTexts:
    """The texts of a figure beside its axes. ``alert`` is a warning about its data."""

    title: str
    subtitle: str
    caption: Iterable[str]
    alert: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class PanelRow:
    """Axes in a row; ``height_in`` is their height without labels, or None for an equal share
    of the rest."""

    columns: int = 1
    height_in: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class FigureFrame:
    """``panel_rows`` of axes, one below the other, in a part of the figure that is
    ``plot_in`` high and begins ``top_in`` from the top."""

    figure: Figure
    panel_rows: tuple[tuple[Axes, ...], ...]
    heights_in: tuple[float | None, ...]
    top_in: float
    plot_in: float

    @property
    def axes(self) -> tuple[Axes, ...]:
        """All axes, from the top left."""
        return tuple(ax for band in self.panel_rows for ax in band)

    def fit(self) -> None:
        """Make the axes fill their part, with all texts around them. To be called after all
        drawing."""
        for _ in range(2):  # Labels can change with the size of the axes.
            self._fit()

    def _fit(self) -> None:
        width, height = self.figure.get_size_inches()
        margins = [[self._margins(ax) for ax in band] for band in self.panel_rows]
        heights = self._heights(margins)
        y = height - self.top_in
        for axes, around, high in zip(self.panel_rows, margins, heights, strict=True):
            y -= max(m.top for m in around) + high
            alike = [other for other in margins if len(other) == len(axes)]
            lefts = [max(m[i].left for m in alike) for i in range(len(axes))]
            rights = [max(m[i].right for m in alike) for i in range(len(axes))]
            taken = sum(lefts) + sum(rights) + _COLUMN_GAP_IN * (len(axes) - 1)
            wide = (width - 2 * _MARGIN_IN - taken) / len(axes)
            x = _MARGIN_IN
            for ax, left, right in zip(axes, lefts, rights, strict=True):
                x += left
                ax.set_position((x / width, y / height, wide / width, high / height))
                x += wide + right + _COLUMN_GAP_IN
            y -= max(m.bottom for m in around) + _GAP_IN

    def _heights(self, margins: Sequence[Sequence[_Margins]]) -> list[float]:
        around = sum(
            max(m.top for m in ms) + max(m.bottom for m in ms) for ms in margins
        )
        left_in = self.plot_in - around - _GAP_IN * (len(margins) - 1)
        left_in -= sum(filter(None, self.heights_in))
        shares = self.heights_in.count(None) or 1
        return [left_in / shares if h is None else h for h in self.heights_in]

    def _margins(self, ax: Axes) -> _Margins:
        inner = ax.get_window_extent()
        outer = ax.get_tightbbox()
        if outer is None:
            return _Margins(0, 0, 0, 0)
        dpi = self.figure.dpi
        return _Margins(
            (inner.x0 - outer.x0) / dpi,
            (outer.x1 - inner.x1) / dpi,
            (outer.y1 - inner.y1) / dpi,
            (inner.y0 - outer.y0) / dpi,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Margins:
    left: float
    right: float
    top: float
    bottom: float


def figure_frame(
    width_in: float,
    plot_in: float,
    texts: FrameTexts,
    *,
    panel_rows: Sequence[PanelRow] = (PanelRow(),),
    handles: Sequence[Artist] = (),
) -> FigureFrame:
    """A frame with the height of its parts. ``handles`` are the labelled marks in the legend,
    which has two columns if there is space."""
    inside_in = width_in - 2 * _MARGIN_IN
    title = wrap(texts.title, inside_in, _TITLE_PT, "bold")
    subtitle = wrap(texts.subtitle, inside_in, _SUBTITLE_PT)
    alert = wrap(texts.alert, inside_in - _ALERT_INDENT_IN, _ALERT_PT, "bold")
    caption = wrap(" ".join(texts.caption), inside_in, _CAPTION_PT)
    figure = Figure(figsize=(width_in, plot_in), dpi=style.DPI)
    FigureCanvasAgg(figure)
    legend_in = _add_legend(figure, handles, inside_in)

    subtitle_in = _MARGIN_IN + text_height(title, _TITLE_PT)
    alert_in = subtitle_in + text_height(subtitle, _SUBTITLE_PT)
    if alert:
        alert_in += _GAP_IN / 2
    top_in = alert_in + text_height(alert, _ALERT_PT) + _GAP_IN
    legend_top_in = top_in + plot_in + _GAP_IN
    caption_in = legend_top_in + (legend_in + _GAP_IN if handles else 0)
    height_in = caption_in + text_height(caption, _CAPTION_PT) + _MARGIN_IN
    figure.set_size_inches(width_in, height_in)

    left = _MARGIN_IN / width_in
    indent = left + _ALERT_INDENT_IN / width_in
    muted = {"color": style.MUTED}
    lines: tuple[tuple[str, float, float, dict[str, Any]], ...] = (
        (title, left, _MARGIN_IN, {"fontsize": _TITLE_PT, "fontweight": "bold"}),
        (subtitle, left, subtitle_in, {"fontsize": _SUBTITLE_PT} | muted),
        (alert, indent, alert_in, {"fontsize": _ALERT_PT} | _ALERT),
        (caption, left, caption_in, {"fontsize": _CAPTION_PT} | muted),
    )
    for text, x, from_top_in, look in lines:
        figure.text(x, 1 - from_top_in / height_in, text, va="top", **look)
    if alert:
        _add_bar(figure, alert_in, text_height(alert, _ALERT_PT))
    for legend in figure.legends:
        legend.set_bbox_to_anchor((left, 1 - legend_top_in / height_in))
    rows = tuple(_add_axes(figure, band.columns) for band in panel_rows)
    heights = tuple(band.height_in for band in panel_rows)
    return FigureFrame(figure, rows, heights, top_in, plot_in)


_ALERT: Final[dict[str, Any]] = {"fontweight": "bold", "color": style.ALERT}


def _add_axes(figure: Figure, columns: int) -> tuple[Axes, ...]:
    # `FigureFrame.fit` decides where they are.
    return tuple(figure.add_axes((0.2, 0.2, 0.6, 0.6)) for _ in range(columns))


def _add_bar(figure: Figure, from_top_in: float, high_in: float) -> None:
    width_in, height_in = figure.get_size_inches()
    bar = Rectangle(
        (_MARGIN_IN / width_in, 1 - (from_top_in + high_in) / height_in),
        0.035 / width_in,
        high_in / height_in,
        facecolor=style.ALERT,
        edgecolor="none",
        transform=figure.transFigure,
    )
    figure.add_artist(bar)


def _add_legend(figure: Figure, handles: Sequence[Artist], inside_in: float) -> float:
    """Add a legend to the figure; returns its height in inches. It has two columns, with broken
    lines if necessary, or else one."""
    if not handles:
        return 0.0
    labels = [str(handle.get_label()) for handle in handles]
    tries = ((2, inside_in), (2, inside_in / 2 - 0.1), (1, inside_in))
    for columns, room_in in tries:
        for handle, label in zip(handles, labels, strict=True):
            handle.set_label(_broken(label, room_in - _HANDLE_IN))
        for legend in figure.legends[:]:
            legend.remove()
        shown = [h for h in handles if columns > 1 or str(h.get_label()).strip()]
        legend = figure.legend(
            handles=shown,
            loc="upper left",
            ncols=columns,
            fontsize=_LEGEND_PT,
            handlelength=3.2,
            borderpad=0,
            borderaxespad=0,
        )
        extent = legend.get_window_extent()
        if extent.width <= inside_in * figure.dpi:
            break
    return float(extent.height / figure.dpi)


def _broken(label: str, room_in: float) -> str:
    lines = (
        listed(line.split(", "), room_in, _LEGEND_PT) for line in label.split("\n")
    )
    return "\n".join(lines) or " "
