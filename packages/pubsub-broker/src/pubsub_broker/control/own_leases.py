"""The leases of a broker's own clients."""

from __future__ import annotations

from collections import OrderedDict


class OwnLeases:
    """``now`` is seconds of one monotonic clock.

    All leases have the same length, so the order of the last renewals is the order of
    expiry: one ordered dictionary makes each operation O(1) per client.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._renewed_at: OrderedDict[int, float] = OrderedDict()

    def begin(self, session: int, now: float) -> None:
        """Start or restart a lease."""
        self._renewed_at[session] = now
        self._renewed_at.move_to_end(session)

    def renew(self, session: int, now: float) -> bool:
        """Extend a lease; False if there is none."""
        if session not in self._renewed_at:
            return False
        self.begin(session, now)
        return True

    def end(self, session: int) -> None:
        """End a lease, if there is one."""
        self._renewed_at.pop(session, None)

    def expire(self, now: float) -> list[int]:
        """End the leases that have expired; returns their sessions."""
        expired = []
        while (due := self.next_expiry()) is not None and due <= now:
            session, _ = self._renewed_at.popitem(last=False)
            expired.append(session)
        return expired

    def extend(self, now: float) -> None:
        """Restart the leases that have expired."""
        for session in self.expire(now):
            self.begin(session, now)

    def next_expiry(self) -> float | None:
        """When the next lease expires; None without leases."""
        if not self._renewed_at:
            return None
        return next(iter(self._renewed_at.values())) + self._lease_s
