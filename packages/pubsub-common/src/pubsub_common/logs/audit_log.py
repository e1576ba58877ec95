"""Log lines about strangers. Shell."""

from __future__ import annotations

import logging
import threading
import time

from pubsub_common.logs.audit import Audit


class AuditLog:
    """Writes to ``log`` what an `Audit` lets pass. For any thread."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._audit = Audit()
        self._lock = threading.Lock()

    def note(self, address: str, kind: str, what: str) -> None:
        """Write a line about an IP address, unless there was one of its kind just now."""
        with self._lock:
            line = self._audit.note(address, kind, what, time.monotonic())
        if line is not None:
            self._log.warning("%s", line)
