"""Figures of one-way latency; the only importer of matplotlib."""

from pubsub_perf.plots.boxes import box_figure
from pubsub_perf.plots.distribution import ecdf_figure
from pubsub_perf.plots.growth import growth_figure
from pubsub_perf.plots.output import Drawing, save

__all__ = ["Drawing", "box_figure", "ecdf_figure", "growth_figure", "save"]
