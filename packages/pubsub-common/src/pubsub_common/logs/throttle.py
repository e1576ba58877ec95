"""How often the broker says the same kind of thing. Core."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from pubsub_common.defaults import LOG_INTERVAL_S

# Peers that are told apart; beyond, only "many" is known of them.
_MAX_PEERS: Final = 1000


class Throttle:
    """Lets one thing of each kind pass per `LOG_INTERVAL_S`."""

    def __init__(self) -> None:
        self._next_at: dict[Hashable, float] = {}

    def allows(self, kind: Hashable, now: float) -> bool:
        """Whether a thing of this kind may pass at ``now``; it has, then."""
        if now < self._next_at.get(kind, now):
            return False
        self._next_at[kind] = now + LOG_INTERVAL_S
        return True


class RefusalLog:
    """One line for the first refusal, then one per interval for all that came since."""

    def __init__(self) -> None:
        self._next_at: float | None = None
        self._held_back = 0
        self._last = ""
        self._peers: set[bytes] = set()

    def refused(self, peer: bytes, detail: str, now: float) -> str | None:
        """A message of ``peer`` was refused; the line to log, if any."""
        if self._next_at is None:
            self._next_at = now + LOG_INTERVAL_S
            return f"refused: {detail}"
        self._held_back += 1
        self._last = detail
        if len(self._peers) < _MAX_PEERS:
            self._peers.add(peer)
        return self.tick(now)

    def tick(self, now: float) -> str | None:
        """The line that is due at ``now``, if any."""
        if self._next_at is None or now < self._next_at:
            return None
        if not self._held_back:
            self._next_at = None
            return None
        count, peers = self._held_back, len(self._peers)
        more = "at least " if peers == _MAX_PEERS else ""
        self._next_at = now + LOG_INTERVAL_S
        self._held_back = 0
        self._peers.clear()
        return (
            f"refused {count} more since, from {more}{peers} "
            f"connection{'' if peers == 1 else 's'}; the last: {self._last}"
        )
