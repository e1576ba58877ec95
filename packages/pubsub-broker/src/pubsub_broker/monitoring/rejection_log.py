"""Log lines about rejected control messages: the first one immediately, then one per
interval."""

from __future__ import annotations

from typing import Final

from pubsub_common.logs.throttle import LogThrottle

# Connections that are counted exactly; with more, the line says "at least".
_MAX_CONNECTIONS: Final = 1000


class RejectionLog:
    """``now`` is seconds of any one clock."""

    def __init__(self) -> None:
        self._throttle = LogThrottle()
        self._last = ""
        self._connections: set[bytes] = set()

    def rejected(self, connection: bytes, detail: str, now: float) -> str | None:
        """A message of ``connection`` was rejected; returns the line to log, if any."""
        permit = self._throttle.admit("", now)
        if permit is not None and not permit.suppressed:
            return f"rejected: {detail}"
        self._last = detail
        if len(self._connections) < _MAX_CONNECTIONS:
            self._connections.add(connection)
        return None if permit is None else self._summary(permit.suppressed + 1)

    def tick(self, now: float) -> str | None:
        """The line that is due at ``now``, if any."""
        for _, suppressed in self._throttle.due(now):
            return self._summary(suppressed)
        return None

    def _summary(self, count: int) -> str:
        connections = len(self._connections)
        self._connections.clear()
        more = "at least " if connections == _MAX_CONNECTIONS else ""
        return (
            f"rejected {count} more since, from {more}{connections} "
            f"connection{'' if connections == 1 else 's'}; the last: {self._last}"
        )
