"""The list of figures of a report, for report, docs and tests.

To add a figure, write a module of this folder with a function that draws it, and add an
entry here. A function returns None if the data have nothing to show.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from pubsub_perf.analysis.values.results import Analysis
from pubsub_perf.plots.box_plot import box_figure
from pubsub_perf.plots.ecdf import ecdf_figure
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.pair_heatmap import pair_heatmap_figure
from pubsub_perf.plots.publisher_lateness import lateness_figure
from pubsub_perf.plots.queueing import overloaded_networks, queueing_figure
from pubsub_perf.plots.residuals import residual_figure
from pubsub_perf.plots.scaling import hosts_figure
from pubsub_perf.plots.timeline import timeline_figure
from pubsub_perf.plots.topology import topology_figure
from pubsub_perf.results.cell_summary import CellSummary
from pubsub_perf.results.timeseries import Series


@dataclasses.dataclass(frozen=True, slots=True)
class SweepData:
    """The data for figures of all networks together."""

    cells: Sequence[CellSummary]
    analysis: Analysis


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkData:
    """The data for figures of one network: its cells, and the recorded events of one run of
    each cell."""

    cells: Sequence[CellSummary]
    series: Sequence[Series] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SweepFigure:
    """A figure of all networks together, ``plots/<name>.png`` and ``.svg``; ``shows``
    describes it in the docs."""

    name: str
    shows: str
    draw: Callable[[SweepData], Drawing | None]


@dataclasses.dataclass(frozen=True, slots=True)
class NetworkFigure:
    """A figure of one network, ``plots/<network>-<name>.png`` and ``.svg``. ``of_events``: it
    needs single events, which are read for it."""

    name: str
    shows: str
    draw: Callable[[NetworkData], Drawing | None]
    of_events: bool = False


# In the order in which the report shows them.
SWEEP_FIGURES: Final = (
    SweepFigure(
        "hosts",
        "median and p99 against hosts: runs, 95 % intervals, fitted curves",
        lambda data: hosts_figure(data.cells, data.analysis),
    ),
    SweepFigure(
        "residuals",
        "the residuals of each fitted shape",
        lambda data: residual_figure(data.analysis),
    ),
    SweepFigure(
        "queueing",
        "the centralized broker's latency, measured and predicted",
        lambda data: queueing_figure(
            data.analysis.queueing, overloaded_networks(data.cells)
        ),
    ),
    SweepFigure(
        "lateness",
        "the lateness of publishers against their schedule",
        lambda data: lateness_figure(data.cells),
    ),
)

NETWORK_FIGURES: Final = (
    NetworkFigure(
        "box",
        "the latencies of both models as box plots",
        lambda data: box_figure(data.cells),
    ),
    NetworkFigure(
        "ecdf",
        "the latencies of both models as cumulative distributions, and their tails",
        lambda data: ecdf_figure(data.cells),
    ),
    NetworkFigure(
        "pairs",
        "median latency of each publisher to each subscriber",
        lambda data: pair_heatmap_figure(data.cells),
    ),
    NetworkFigure(
        "topology",
        "the network, hosts by role and median latency",
        lambda data: topology_figure(data.cells),
    ),
    NetworkFigure(
        "time",
        "latency against the time of publication, warm-up marked",
        lambda data: timeline_figure(data.series),
        of_events=True,
    ),
)
