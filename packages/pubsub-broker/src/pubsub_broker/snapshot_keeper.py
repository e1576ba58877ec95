"""Keeps the snapshot file of a broker's clients up to date."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.registry.snapshot import encode_snapshot
from pubsub_broker.registry.snapshot_file import MIN_INTERVAL_S, SnapshotFile


class SnapshotKeeper:
    """Keeps the file of a core up to date. ``now`` is monotonic seconds."""

    def __init__(self, path: str | Path) -> None:
        """Raises:
        ConfigError: the file cannot be written.
        """
        self._file = SnapshotFile(path, time.monotonic)
        self._core: BrokerCore | None = None
        self._saved = 0  # changes of the core that are in the file
        self._save_at = 0.0

    def begin(self, core: BrokerCore, now: float) -> None:
        """Give the core the clients in the file, and keep the file up to date from now
        on.

        Raises:
            ConfigError: the file can neither be used nor moved away.
            StateInUse: another broker uses it.
        """
        self._file.claim()
        snapshot = self._file.load()
        if snapshot is not None:
            core.expect(snapshot, now)
        self._saved = core.changes
        self._file.start()
        self._core = core

    def tick(self, now: float) -> None:
        """Have the file written after a change, but not too often."""
        core = self._core
        if core is None or core.changes == self._saved or now < self._save_at:
            return
        self._saved, self._save_at = core.changes, now + MIN_INTERVAL_S
        self._file.save(encode_snapshot(core.snapshot(now)))

    def threads(self) -> list[threading.Thread]:
        """The thread that writes the file, if there is one."""
        return [] if self._file.thread is None else [self._file.thread]

    def close(self, now: float) -> None:
        """Write the file for the last time, unless the broker never started."""
        if self._core is not None:
            self._file.save(encode_snapshot(self._core.snapshot(now)))
            self._core = None
        self._file.close()
