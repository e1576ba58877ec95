"""The list of figures names every module that draws one, and the docs and report follow."""

from __future__ import annotations

import re

from support.paths import ROOT

from pubsub_perf.plots.registry import NETWORK_FIGURES, SWEEP_FIGURES

PLOTS = ROOT / "packages/pubsub-perf/src/pubsub_perf/plots"


def test_every_module_that_draws_a_figure_is_reached_from_the_list() -> None:
    modules = {
        path.stem
        for path in PLOTS.glob("*.py")
        if re.search(r"^def \w+_figure\(", path.read_text("utf-8"), re.MULTILINE)
    }
    reached = set(
        re.findall(
            r"^from pubsub_perf\.plots\.(\w+) import .*_figure",
            (PLOTS / "registry.py").read_text("utf-8"),
            re.MULTILINE,
        )
    )
    # `scaling` falls back to the one, `pubsub-perf compare` draws the other.
    assert modules - reached == {"growth", "comparison"}


def test_names_are_unique_and_explained() -> None:
    for figures in (SWEEP_FIGURES, NETWORK_FIGURES):
        names = [figure.name for figure in figures]
        assert len(set(names)) == len(names)
        assert all(figure.shows for figure in figures)
