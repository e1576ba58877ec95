"""Figures to files: the same bytes for the same data."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from pubsub_common.files import write_atomically
from pubsub_perf.plots import style

# None leaves an entry out: dates and versions change bytes, and name web addresses.
_NO_METADATA: Final[dict[str, dict[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Creator": None, "Date": None, "Format": None, "Type": None},
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A figure with a description for blind readers."""

    figure: Figure
    description: str

    def render(self, kind: str) -> bytes:
        """The bytes of a ``png`` or ``svg`` file."""
        buffer = io.BytesIO()
        with style.applied():
            self.figure.savefig(
                buffer,
                format=kind,
                dpi=style.DPI,
                facecolor="white",
                metadata=_NO_METADATA[kind],
            )
        return buffer.getvalue()


def save(drawing: Drawing, stem: Path) -> tuple[Path, Path]:
    """Write ``<stem>.png`` and ``<stem>.svg``; returns both.

    Raises:
        OSError: they could not be written.
    """
    paths = []
    for kind in ("png", "svg"):
        path = stem.with_name(f"{stem.name}.{kind}")
        write_atomically(path, drawing.render(kind), follow_link=False)
        paths.append(path)
    return paths[0], paths[1]
