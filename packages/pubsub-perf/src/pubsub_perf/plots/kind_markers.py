"""A mark for each kind of network, easy to distinguish hollow, filled and in grey.

Marks of matplotlib that look alike when small (pentagon, hexagons, octagon) are not used;
the following kinds get shapes of halves and bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from matplotlib.path import Path

Marker = str | Path


def _shape(*corners: tuple[float, float]) -> Path:
    return Path([*corners, corners[0]], closed=True)


def _half(start_degrees: float) -> Path:
    """Half a disc, beginning in this direction."""
    turns = [math.radians(start_degrees + 15 * step) for step in range(13)]
    return _shape(*((math.cos(turn), math.sin(turn)) for turn in turns))


_OF_KIND: Final[dict[str, Marker]] = {
    "single-switch": "o",
    "tree": "^",
    "linear": "s",
    "dumbbell": "D",
}
_HOURGLASS: Final = _shape((-1, -1), (1, -1), (-1, 1), (1, 1))
_BOW: Final = _shape((-1, -1), (-1, 1), (1, -1), (1, 1))
_UPRIGHT: Final = _shape((-0.4, -1.1), (0.4, -1.1), (0.4, 1.1), (-0.4, 1.1))
_FLAT: Final = _shape((-1.1, -0.4), (1.1, -0.4), (1.1, 0.4), (-1.1, 0.4))
_CORNER: Final = _shape((-1, -1), (1, -1), (1, -0.2), (-0.2, -0.2), (-0.2, 1), (-1, 1))
_OTHERS: Final[tuple[Marker, ...]] = (
    *("v", "P", "<", "X", ">", "*"),
    *(_HOURGLASS, _UPRIGHT, _BOW, _FLAT, _CORNER, _half(0), _half(180)),
)


def markers_of(kinds: Iterable[str]) -> dict[str, Marker]:
    """A mark for each kind of network. From the fourteenth foreign kind on, marks
    repeat."""
    markers: dict[str, Marker] = {}
    others = 0
    for kind in sorted(set(kinds)):
        if kind in _OF_KIND:
            markers[kind] = _OF_KIND[kind]
        else:
            markers[kind] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return markers
