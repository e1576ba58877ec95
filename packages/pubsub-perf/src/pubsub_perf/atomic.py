"""Files that are there in full or not at all. Shell."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary name beside ``path``, and rename that.

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
