"""The latency file that a subscriber writes and the analysis reads. Shell.

CSV: a header, then one row per received event in order of receipt::

    publisher,topic,latency_seconds
    10.0.0.2:5556,A,0.000514312
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError

HEADER: Final = ("publisher", "topic", "latency_seconds")


def writable_file(path: str) -> None:
    """Find out now whether ``path`` can be written, and not after an hour's run.

    Raises:
        ConfigError: it cannot.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"folder {folder} is not writable"
    elif target.exists() and not os.access(target, os.W_OK):
        reason = "it is write protected"
    else:
        return
    raise ConfigError(f"cannot write {path}: {reason}")


def write_latencies(path: Path, rows: Iterable[tuple[str, str, int]]) -> None:
    """Write (publisher, topic, latency in ns) rows, and never half a file: they go
    to a temporary name beside ``path``, which is renamed when all is on disk.

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(
                (publisher, topic, f"{latency_ns / 1e9:.9f}")
                for publisher, topic, latency_ns in rows
            )
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
