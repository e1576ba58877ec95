"""A worker's private folder for the files of its cells.

A killed worker cannot remove its folder, so the next worker removes folders without a held lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "pubsub-perf-worker-"
_LOCK: Final = "lock"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder, for this block.

    Raises:
        OSError: it cannot be made.
    """
    base = Path(tempfile.gettempdir())
    for other in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            _remove_if_left(other)
    with tempfile.TemporaryDirectory(
        prefix=_PREFIX, ignore_cleanup_errors=True
    ) as name:
        lock = _held(Path(name))
        try:
            yield Path(name)
        finally:
            os.close(lock)


def _remove_if_left(folder: Path) -> None:
    """Remove this folder, if it is ours and its worker is gone."""
    found = folder.lstat()
    if found.st_uid != os.geteuid() or folder.is_symlink() or not folder.is_dir():
        return
    if not (folder / _LOCK).exists():  # a worker is just making it
        return
    lock = _held(folder)
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _held(folder: Path) -> int:
    """The descriptor of the folder's lock, which is held until it is closed.

    Raises:
        OSError: another worker holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(folder / _LOCK, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
