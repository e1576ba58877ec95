"""Logs the subscriber for which publishing waits."""

from __future__ import annotations

import logging
from typing import Final

from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.net.sockets import tcp_table
from pubsub_common.net.tcp_table import slowest_reader

_log = logging.getLogger(__name__)

# A shorter wait for room is not logged.
_STALL_S: Final = 1.0


class StallLog:
    """Detects that publishing waits. For the control thread."""

    def __init__(self) -> None:
        # The number of events that had left when the wait began, and its time.
        self._stuck_at = (-1, 0.0)
        self._throttle = LogThrottle()

    def check(self, published: int, port: int, now: float) -> float:
        """An event waits for room after ``published`` events have left from this port. Log it
        if none has left for a while. Returns the seconds after which to check again if it
        still waits."""
        before, since = self._stuck_at
        if published != before:
            self._stuck_at = published, now
        elif now - since >= _STALL_S and self._throttle.allows("stall", now):
            _log.warning("publishing waits: %s", _reason(port))
        return _STALL_S


def _reason(port: int) -> str:
    table = tcp_table()
    found = None if table is None else slowest_reader(port, table)
    if found is None:
        return "a connected subscriber is not reading"
    return f"{found[0]} is not reading ({found[1]} bytes are queued)"
