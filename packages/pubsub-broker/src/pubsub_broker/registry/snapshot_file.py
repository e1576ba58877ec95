"""The file in which a broker keeps its clients (``--state``)."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pubsub_broker.registry.snapshot import (
    Snapshot,
    SnapshotError,
    decode_snapshot,
)
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.file_claim import FileClaim
from pubsub_common.files import NotReadable, atomic_replace, check_writable, read_file
from pubsub_common.logs.throttle import LogThrottle

_log = logging.getLogger(__name__)

# The shortest time between two writes of the file.
MIN_INTERVAL_S: Final = 1.0
# A full disk at the start is not a mistake in the options: the broker starts anyway.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


# The longest state that is read and written: that of 10,000 clients with hundreds of
# topics.
MAX_STATE_BYTES: Final = 64 * 1024 * 1024


class StateInUse(PubSubError):
    """Another broker keeps its state in the file. It may end soon, so the options may
    be right."""


class SnapshotFile:
    """Reads the file once, and writes it in its own thread: the disk may be slow, and
    clients must not wait for it."""

    def __init__(
        self,
        path: str | Path,
        clock: Callable[[], float],
        *,
        interval_s: float = MIN_INTERVAL_S,
    ) -> None:
        """``clock`` is monotonic seconds, for the rate of log lines; ``interval_s`` is
        the shortest time between two writes.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.path = Path(path)
        self._clock = clock
        self._interval_s = interval_s
        self._throttle = LogThrottle()
        self._changed = threading.Condition()
        self._waiting: bytes | None = None
        self._closing = False
        self.thread: threading.Thread | None = None
        self._check()
        self._claim = FileClaim(self.path, "broker")

    def claim(self) -> None:
        """Claim the file for this broker, until `close`.

        Raises:
            StateInUse: another broker uses it.
        """
        try:
            self._claim.take()
        except ConfigError as error:
            raise StateInUse(
                f"cannot keep state in {self.path}: another broker uses this file"
            ) from error

    def load(self) -> Snapshot | None:
        """The snapshot in the file; None without a file. An unreadable file is moved
        away and logged.

        Raises:
            ConfigError: it could not be moved away.
        """
        try:
            data = read_file(self.path, MAX_STATE_BYTES)
        except FileNotFoundError:
            return None
        except NotReadable as error:
            self._set_aside(error.reason)
            return None
        except OSError as error:
            self._set_aside(f"it cannot be read: {error.strerror}")
            return None
        try:
            return decode_snapshot(data)
        except SnapshotError as error:
            self._set_aside(str(error))
            return None

    def start(self) -> None:
        """Start the thread."""
        self.thread = threading.Thread(
            target=self._run, name="broker-state", daemon=True
        )
        self.thread.start()

    def save(self, data: bytes) -> None:
        """Write this snapshot soon. Returns immediately; it replaces an earlier one
        that waits."""
        with self._changed:
            self._waiting = data
            self._changed.notify()

    def close(self) -> None:
        """Write the waiting snapshot, end the thread, and release the file."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self.thread is not None:
            self.thread.join()
        self._claim.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting)
                data, self._waiting = self._waiting, None
                closing = self._closing
            if data is not None:
                self._write(data)
            if closing:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closing, self._interval_s)

    def _write(self, data: bytes) -> None:
        try:
            if len(data) > MAX_STATE_BYTES:
                raise OSError(errno.EFBIG, f"{len(data)} bytes are too many to read")
            # The file has sessions, and a session allows requests in the name of its
            # client.
            with atomic_replace(self.path, mode=0o600) as part:
                part.write_bytes(data)
            sync_folder(self.path)
        except OSError as error:
            if self._throttle.allows("state", self._clock()):
                _log.error(
                    "cannot write state to %s (the previous file is kept): %s",
                    self.path,
                    error.strerror or error,
                )

    def _check(self) -> None:
        try:
            self.path.resolve()
        # Python before 3.13 raises the second one
        except (OSError, RuntimeError) as error:
            raise ConfigError(
                f"cannot keep state in {self.path}: circular links"
            ) from error
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(f"cannot keep state in {self.path}: it is not a file")
        check_writable(str(self.path))
        # Permissions are not enough: root has them even where it cannot write.
        target = self.path.resolve()
        probe = target.with_name(f".{target.name}.{os.getpid()}.probe")
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno not in _FULL:
                raise ConfigError(
                    f"cannot keep state in {self.path}: {error.strerror}"
                ) from error

    def _set_aside(self, reason: str) -> None:
        aside = free_name(self.path)
        try:
            self.path.rename(aside)
        except OSError as error:
            raise ConfigError(
                f"cannot use the state in {self.path} ({reason}), and cannot rename "
                f"it: {error.strerror}"
            ) from error
        _log.error(
            "cannot use state file %s: %s. Moved to %s; starting with no known clients",
            self.path,
            reason,
            aside.name,
        )


def free_name(path: Path) -> Path:
    """``FILE.damaged``, or the first of ``FILE.damaged.1``, ``.2``, … that is free."""
    first = aside = path.with_name(f"{path.name}.damaged")
    number = 0
    while aside.exists() or aside.is_symlink():
        number += 1
        aside = first.with_name(f"{first.name}.{number}")
    return aside


def sync_folder(path: Path) -> None:
    """Have the kernel write a file's new name to the disk, too. Not every file system
    can."""
    fd = os.open(path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)
