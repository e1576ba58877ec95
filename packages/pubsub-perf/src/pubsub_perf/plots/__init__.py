"""Figures of one-way latency; the only importer of matplotlib.

Shell.
"""

from pubsub_perf.plots.box_plot import box_figure
from pubsub_perf.plots.ecdf import ecdf_figure
from pubsub_perf.plots.growth import growth_figure
from pubsub_perf.plots.output import Drawing, save
from pubsub_perf.plots.pair_heatmap import heat_figure
from pubsub_perf.plots.publisher_lateness import lateness_figure
from pubsub_perf.plots.queueing import queueing_figure
from pubsub_perf.plots.residuals import residual_figure
from pubsub_perf.plots.scaling import scaling_figure
from pubsub_perf.plots.style import DPI
from pubsub_perf.plots.timeline import timeline_figure
from pubsub_perf.plots.topology import topology_figure

__all__ = [
    "DPI",
    "Drawing",
    "box_figure",
    "ecdf_figure",
    "growth_figure",
    "heat_figure",
    "lateness_figure",
    "queueing_figure",
    "residual_figure",
    "save",
    "scaling_figure",
    "timeline_figure",
    "topology_figure",
]
