"""Sweeps that have a name: the option words they stand for. Values."""

from __future__ import annotations

from typing import Final

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
