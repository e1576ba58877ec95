"""Invented cells for tests of figures, and the content of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pubsub_perf.plots import style
from pubsub_perf.plots.output import Drawing
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.cells import Cell, SubscriberData
from pubsub_perf.results.summarise_cell import summary_of


def cell(
    latencies: Sequence[float] | np.ndarray[Any, Any],
    *,
    model: str = "centralized",
    network: str = "tree-d3f2-8hosts",
    kind: str = "tree",
    hosts: int | None = 8,
    **fields: Any,
) -> CellSummary:
    data = SubscriberData(
        "subscriber-0", 0, ("10.0.0.2:5556",), ("A",), np.array(latencies, dtype=float)
    )
    values: dict[str, Any] = {
        "folder": Path(),
        "publishers": 4,
        "subscribers": 3,
        "meta": None,
        "files": (data,),
        "expected": None,
        "received": len(latencies),
        "lost": None,
        "outcome": "ok",
        "reason": None,
        "fidelity": None,
        "fidelity_reason": None,
    }
    return summary_of(
        Cell(model=model, network=network, kind=kind, hosts=hosts, **(values | fields))
    )


def log_normal(
    median_s: float, count: int = 1000, seed: int = 1
) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).lognormal(np.log(median_s), 0.3, count)


def axes_of(drawing: Drawing) -> list[Axes]:
    return list(drawing.figure.axes)


def xs(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_xdata())]


def ys(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def texts(drawing: Drawing) -> str:
    """Every text of a figure."""

    def walk(artist: Any) -> Iterator[str]:
        if hasattr(artist, "get_text"):
            yield artist.get_text()
        for child in artist.get_children():
            yield from walk(child)

    drawing.figure.draw_without_rendering()
    return "\n".join(text for text in walk(drawing.figure) if text)


def draw(make: Any, cells: Sequence[CellSummary]) -> Drawing:
    drawing = make(cells)
    assert isinstance(drawing, Drawing)
    return drawing


def text_boxes(drawing: Drawing) -> list[tuple[str, Bbox]]:
    """Every text that is seen on a figure, and where it is, in pixels."""

    def walk(artist: Any) -> Iterator[Text]:
        if not artist.get_visible():
            return
        if isinstance(artist, Text):
            yield artist
        for child in artist.get_children():
            yield from walk(child)

    with style.applied():
        drawing.figure.draw_without_rendering()
    ticks = {id(text) for ax in drawing.figure.axes for text in _unseen_ticks(ax)}
    return [
        (text.get_text(), text.get_window_extent())
        for text in walk(drawing.figure)
        if text.get_text().strip() and id(text) not in ticks
    ]


def _unseen_ticks(ax: Axes) -> Iterator[Text]:
    """Labels of ticks outside of the axes' limits, which are never drawn."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        shown = ax.axison
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not shown or not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def outside(drawing: Drawing) -> list[str]:
    """Texts that leave the figure."""
    page = drawing.figure.bbox
    return [
        text
        for text, box in text_boxes(drawing)
        if box.x0 < page.x0 - 0.5
        or box.y0 < page.y0 - 0.5
        or box.x1 > page.x1 + 0.5
        or box.y1 > page.y1 + 0.5
    ]


def overlapping(drawing: Drawing) -> list[tuple[str, str]]:
    """Pairs of texts that cover each other by more than a hair."""
    boxes = text_boxes(drawing)
    found = []
    for i, (text, box) in enumerate(boxes):
        for other, other_box in boxes[i + 1 :]:
            common = Bbox.intersection(box, other_box)
            if common is not None and min(common.width, common.height) > 2:
                found.append((text, other))
    return found
