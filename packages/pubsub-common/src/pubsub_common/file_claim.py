"""Sees to it that one file is written by one role at a time, on this machine.

The kernel locks a hidden file beside the one that is claimed, and unlocks it when its process
ends, however that ends. Only after a crash the hidden file itself is left, which does no harm.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from pubsub_common.errors import ConfigError


class FileClaim:
    """A claim on the file at a path. For one thread at a time."""

    def __init__(self, path: str | Path, owner: str) -> None:
        """Claims nothing yet. ``owner`` is what kind of role writes such files.

        Raises:
            ConfigError: The path has circular links.
        """
        self._path = path
        self._owner = owner
        try:
            target = Path(path).resolve()
        except RuntimeError as error:  # as Python before 3.13 has it
            raise ConfigError(f"cannot write {path}: circular links") from error
        self._lock_path = target.with_name(f".{target.name}.lock")
        # A device or a pipe may have several writers.
        self._needed = target.is_file() or not target.exists()
        self._fd = -1

    def check(self) -> None:
        """Raises:
        ConfigError: another one has claimed the file.
        """
        if self._needed and self._lock_path.exists():
            self.take()
            self.release()

    def take(self) -> None:
        """Claim the file until `release`.

        Raises:
            ConfigError: another one has, or no file can be made beside it.
        """
        while self._needed and self._fd < 0:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                fd = os.open(self._lock_path, flags, 0o666)
            except OSError as error:
                raise ConfigError(f"cannot write {self._path}: {error}") from error
            if self._lock(fd):
                self._fd = fd
            else:
                os.close(fd)

    def release(self) -> None:
        """End the claim. Again: does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                self._lock_path.unlink()
            os.close(fd)

    def abandon(self) -> None:
        """In a forked child: the claim is the parent's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _lock(self, fd: int) -> bool:
        """False when the file was removed by its last owner meanwhile.

        Raises:
            ConfigError: another one has it.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise ConfigError(
                f"cannot write {self._path}: another {self._owner} is going to write it"
            ) from None
        except OSError:
            return True  # a file system without locks
        try:
            return os.path.samestat(os.fstat(fd), self._lock_path.stat())
        except FileNotFoundError:
            return False
