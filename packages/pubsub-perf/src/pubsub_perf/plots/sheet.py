"""The frame of every figure: title, axes, legend and caption, each with its own room.

Everything is placed by measuring what it takes, in inches from the top. matplotlib's
own layout engines would do, but their results differ in the last bits from run to run,
and with them the bytes of an SVG file.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from pubsub_perf.plots import style

_MARGIN_IN: Final = 0.1
_GAP_IN: Final = 0.12
_TITLE_PT: Final = 12.0
_SUBTITLE_PT: Final = 9.0
_LEGEND_PT: Final = 9.0
_CAPTION_PT: Final = 8.0
_LINE_SPACING: Final = 1.25
_METER: Final = TextToPath()


@dataclasses.dataclass(frozen=True, slots=True)
class Words:
    """What a figure says beside its axes."""

    title: str
    subtitle: str
    caption: Iterable[str]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """``axes`` are one below the other, in a band of the figure that is ``plot_in``
    high and begins ``top_in`` from the top."""

    figure: Figure
    axes: tuple[Axes, ...]
    top_in: float
    plot_in: float

    def fit(self) -> None:
        """Make the axes fill their band with all that is written around them. To be
        called when everything is drawn."""
        self.figure.align_ylabels(list(self.axes))
        for _ in range(2):  # Labels can change with the size of the axes.
            self._fit()

    def _fit(self) -> None:
        width, height = self.figure.get_size_inches()
        margins = [self._margins(ax) for ax in self.axes]
        left = _MARGIN_IN + max(m.left for m in margins)
        right = _MARGIN_IN + max(m.right for m in margins)
        around = sum(m.top + m.bottom for m in margins)
        gaps = _GAP_IN * (len(margins) - 1)
        each = (self.plot_in - around - gaps) / len(margins)
        y = height - self.top_in
        for ax, margin in zip(self.axes, margins, strict=True):
            y -= margin.top + each
            ax.set_position(
                (left / width, y / height, 1 - (left + right) / width, each / height)
            )
            y -= margin.bottom + _GAP_IN

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


def sheet(
    width_in: float,
    plot_in: float,
    words: Words,
    *,
    panels: int = 1,
    handles: Sequence[Artist] = (),
) -> Sheet:
    """A sheet as high as its parts need. ``handles`` is what the legend explains, in
    two columns; each has a label."""
    title = _wrap(words.title, width_in, _TITLE_PT, "bold")
    subtitle = _wrap(words.subtitle, width_in, _SUBTITLE_PT)
    caption = _wrap(" ".join(words.caption), width_in, _CAPTION_PT)
    figure = Figure(figsize=(width_in, plot_in), dpi=style.DPI)
    FigureCanvasAgg(figure)
    legend_in = _add_legend(figure, handles)
    subtitle_in = _MARGIN_IN + _height(title, _TITLE_PT)
    top_in = subtitle_in + _height(subtitle, _SUBTITLE_PT) + _GAP_IN
    legend_top_in = top_in + plot_in + _GAP_IN
    caption_in = legend_top_in + (legend_in + _GAP_IN if handles else 0)
    height_in = caption_in + _height(caption, _CAPTION_PT) + _MARGIN_IN
    figure.set_size_inches(width_in, height_in)

    left = _MARGIN_IN / width_in
    texts: tuple[tuple[str, float, dict[str, Any]], ...] = (
        (title, _MARGIN_IN, {"fontsize": _TITLE_PT, "fontweight": "bold"}),
        (subtitle, subtitle_in, {"fontsize": _SUBTITLE_PT, "color": style.MUTED}),
        (caption, caption_in, {"fontsize": _CAPTION_PT, "color": style.MUTED}),
    )
    for text, from_top_in, look in texts:
        figure.text(left, 1 - from_top_in / height_in, text, va="top", **look)
    for legend in figure.legends:
        legend.set_bbox_to_anchor((left, 1 - legend_top_in / height_in))
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    return Sheet(figure, tuple(axes), top_in, plot_in)


def _add_legend(figure: Figure, handles: Sequence[Artist]) -> float:
    """Add a legend to the figure, where it may be; returns its height in inches."""
    if not handles:
        return 0.0
    legend = figure.legend(
        handles=list(handles),
        loc="upper left",
        ncols=2,
        fontsize=_LEGEND_PT,
        handlelength=3.2,
        borderpad=0,
        borderaxespad=0,
    )
    return float(legend.get_window_extent().height / figure.dpi)


def _wrap(text: str, width_in: float, size_pt: float, weight: str = "normal") -> str:
    font = FontProperties(size=size_pt, weight=weight)
    limit_pt = (width_in - 2 * _MARGIN_IN) * 72
    lines = [""]
    for word in text.split():
        line = f"{lines[-1]} {word}".lstrip()
        if _width(line, font) <= limit_pt or not lines[-1]:
            lines[-1] = line
        else:
            lines.append(word)
        while len(lines[-1]) > 1 and _width(lines[-1], font) > limit_pt:
            fits = _fitting(lines[-1], font, limit_pt)
            lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
    return "\n".join(lines)


def _width(text: str, font: FontProperties) -> float:
    return float(_METER.get_text_width_height_descent(text, font, ismath=False)[0])


def _fitting(word: str, font: FontProperties, limit_pt: float) -> int:
    """How many characters of a word that is too long for a line fit on it."""
    lengths = range(len(word))
    fits = bisect.bisect_right(lengths, limit_pt, key=lambda n: _width(word[:n], font))
    return max(1, fits - 1)


def _height(text: str, size_pt: float) -> float:
    lines = text.count("\n") + 1 if text else 0
    return lines * size_pt * _LINE_SPACING / 72
