"""Log lines about rejected addresses: one of each kind per interval."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.text.printable import printable


class AuditLog:
    """Writes warnings about IP addresses to ``log``, throttled. For any thread."""

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._throttle = LogThrottle()
        self._lock = threading.Lock()

    def warn(self, address: str, kind: str, text: str) -> None:
        """Write a line about ``address``, unless there was one of this ``kind`` about its group
        (`group_of`) within `LOG_INTERVAL_S`."""
        with self._lock:
            permit = self._throttle.admit((group_of(address), kind), self._clock())
        if permit is None:
            return
        more = " (other addresses too)" if permit.shared else ""
        if permit.suppressed:
            more += f" (and {permit.suppressed} more times since the last such line)"
        self._log.warning("%s: %s%s", address, printable(text), more)
