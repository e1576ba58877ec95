"""Print the versions of a poetry.lock as constraints for pip.

    python scripts/constraints.py poetry.lock > constraints.txt

A package that is locked in several versions (for several Pythons) is left out where
its marker is not for this one.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any


def matches(markers: str) -> bool:
    """Whether an environment marker is true here."""
    from pip._vendor.packaging.markers import Marker

    return bool(Marker(markers).evaluate())


def constraints(lock: dict[str, Any]) -> list[str]:
    """``name==version`` for each locked package that is not one of ours."""
    lines = []
    for package in lock["package"]:
        markers = package.get("markers")
        if isinstance(markers, dict):  # one for each dependency group
            markers = markers.get("main")
        ours = package.get("source", {}).get("type") == "directory"
        if not ours and (markers is None or matches(markers)):
            lines.append(f"{package['name']}=={package['version']}")
    return sorted(lines)


if __name__ == "__main__":
    lock = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print("\n".join(constraints(lock)))
