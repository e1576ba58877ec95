"""Checks that a file can be written, and replaces files atomically."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pubsub_common.errors import ConfigError


def check_writable(path: str) -> None:
    """Find out now whether ``path`` can be written, not after an hour's run.

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


@contextlib.contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends without an error, what was written
    there is flushed to the disk and replaces ``path``.

    A symbolic link is followed. A device or pipe is yielded itself, and not replaced.

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


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, completely or not at all (`atomic_replace`).

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    with atomic_replace(path) as part:
        part.write_bytes(content)


def _is_special(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or the like (root could replace them)."""
    return path.exists() and not path.is_file() and not path.is_dir()
