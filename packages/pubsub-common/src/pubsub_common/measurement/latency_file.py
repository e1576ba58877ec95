"""The latency file that a subscriber writes and the analysis reads. Shell.

CSV: a header, then one row per received event in order of receipt::

    publisher,topic,latency_seconds
    10.0.0.2:5556,A,0.000514312
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from pubsub_common.errors import ConfigError

HEADER: Final = ("publisher", "topic", "latency_seconds")


def check_writable(path: str) -> None:
    """Find out now whether ``path`` can be written, and not after an hour's run.

    Raises:
        ConfigError: it cannot.
    """
    target = Path(path)
    folder = (target.resolve() if target.is_symlink() else target).parent
    if target.is_dir():
        reason = "it is a folder"
    elif _is_special(target):
        if os.access(target, os.W_OK):
            return
        reason = "it is write protected"
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
    """Write (publisher, topic, latency in ns) rows, and never half a file.

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        _write_rows(file, rows)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Never half a file: the block writes to the temporary name that it is given,
    which replaces ``path`` when the block has ended well. A link is followed, and a
    device or pipe written to, not replaced.

    Raises:
        OSError: it could not be replaced; an earlier file of that name is unchanged.
    """
    if _is_special(path):
        yield path
        return
    if path.is_symlink():
        path = path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_rows(file: TextIO, rows: Iterable[tuple[str, str, int]]) -> None:
    import csv  # not before: idle roles are to stay small

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(
        (publisher, topic, f"{latency_ns / 1e9:.9f}")
        for publisher, topic, latency_ns in rows
    )


def _is_special(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or the like (root could replace them)."""
    return path.exists() and not path.is_file() and not path.is_dir()
