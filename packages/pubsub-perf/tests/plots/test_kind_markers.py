"""The marks of kinds of networks."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from pubsub_perf.plots import style
from pubsub_perf.plots.kind_markers import Marker, markers_of

OURS = ("single-switch", "tree", "linear", "dumbbell")


def darkness(marker: Marker, model: str) -> NDArray[np.float64]:
    """A mark as it is drawn, in grey: 1 is black."""
    figure = Figure(figsize=(0.3, 0.3), dpi=150)
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(-1, 1)
    ax.set_ylim(-1, 1)
    ax.plot([0], [0], linestyle="none", **style.mark(style.of_model(model), marker))
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=150)
    written.seek(0)
    pixels: NDArray[np.float64] = imread(written)[..., :3].mean(axis=2)
    return 1 - pixels


@pytest.mark.parametrize(
    "kinds", [[f"ring-{i:02}" for i in range(12)], [*OURS, *"abcdefgh"]]
)
@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_twelve_kinds_can_be_told_apart_in_grey(kinds: list[str], model: str) -> None:
    markers = markers_of(kinds)
    assert len(markers) == 12
    drawn = {kind: darkness(marker, model) for kind, marker in markers.items()}
    for one, other in itertools.combinations(kinds, 2):
        differ = np.abs(drawn[one] - drawn[other]).sum()
        least = min(drawn[one].sum(), drawn[other].sum())
        assert differ > 0.3 * least, (one, other)


def test_our_kinds_have_the_same_mark_beside_whatever_others() -> None:
    alone = markers_of(OURS)
    assert {kind: markers_of([*OURS, "mesh"])[kind] for kind in OURS} == alone
