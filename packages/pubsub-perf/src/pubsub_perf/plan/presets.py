"""Sweeps that have a name, and the options that each stands for."""

from __future__ import annotations

from typing import Final

# Seven sizes of a star for the shape of growth, five runs each for intervals; trees and
# a star of equal size and different depth, so that depth is seen apart from size; and
# a dumbbell, the textbook's shared bottleneck.
_PATTERNS: Final = (
    "--topology=single-switch,single-switch-16,tree-d2f4,tree-d4f2,dumbbell-17",
    "--switch-hosts=5,9,13,17,21,25,29",
    "--events=40",
    "--interval=0.1",
    "--payload-size=200",
    "--repeats=5",
)

PRESETS: Final[dict[str, list[str]]] = {
    # Some three minutes on two cores: both models, stars and trees up to 32 hosts.
    "default": [
        "--topology=single-switch,tree",
        "--switch-hosts=4,8,16,32",
        "--depth=2..3",
        "--fanout=2..3",
        "--events=50",
        "--interval=0.1",
    ],
    # Every tree of the seed, depth 2..4 by fanout 2..4, up to 256 hosts.
    "full": [
        "--topology=single-switch,tree",
        "--switch-hosts=4,8,16,64",
        "--depth=2..4",
        "--fanout=2..4",
        "--events=50",
        "--interval=0.3",
    ],
    # The seed's five patterns, decided: see _PATTERNS. Links of 5 Mbit/s make the
    # broker's link the bottleneck: at 29 hosts it is some 90 % used.
    "patterns": [*_PATTERNS, "--bandwidth=5"],
    # The same with links as fast as the machine.
    "patterns-unshaped": [*_PATTERNS],
    # Seconds: is everything in place?
    "smoke": [
        "--topology=single-switch,tree",
        "--switch-hosts=4",
        "--depth=2",
        "--fanout=2",
        "--events=10",
        "--interval=0.05",
    ],
}
