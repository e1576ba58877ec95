"""Limits how often log lines of one kind repeat, and counts those that are suppressed."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, NamedTuple

from pubsub_common.defaults import LOG_INTERVAL_S

MAX_KEYS: Final = 1000


class Permit(NamedTuple):
    """A line may be written. ``suppressed`` lines of its key were not, since the last one.
    ``shared``: there are too many keys, so that this one is counted with others."""

    suppressed: int
    shared: bool


@dataclasses.dataclass(slots=True)
class _Entry:
    next_at: float
    suppressed: int = 0


class LogThrottle:
    """Permits one line for each key per `LOG_INTERVAL_S`.

    A key names what a line is about. Beyond ``max_keys`` keys within an interval, new ones
    share one entry, so that memory and log stay bounded. ``now`` is seconds of any one
    clock. For one thread, or under the caller's lock.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        # Oldest line first, so that the first entries are those with an ended interval.
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._others = object()

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, key: Hashable, now: float) -> Permit | None:
        """Ask to write a line at ``now``. None: do not; it is counted as suppressed."""
        shared = False
        if key not in self._entries and len(self._entries) >= self._max_keys:
            self._forget(now)
            if len(self._entries) >= self._max_keys:
                key, shared = self._others, True
        entry = self._entries.get(key)
        if entry is not None and now < entry.next_at:
            entry.suppressed += 1
            return None
        self._restart(key, now)
        return Permit(0 if entry is None else entry.suppressed, shared)

    def allows(self, key: Hashable, now: float) -> bool:
        """As `admit`, for callers that do not report suppressed lines."""
        return self.admit(key, now) is not None

    def next_at(self, key: Hashable) -> float | None:
        """When the next line of ``key`` is permitted; None: at any time."""
        entry = self._entries.get(key)
        if entry is None and len(self._entries) >= self._max_keys:
            entry = self._entries.get(self._others)
        return None if entry is None else entry.next_at

    def due(self, now: float) -> list[tuple[Hashable, int]]:
        """Keys with an ended interval and suppressed lines, and the number of these lines:
        the caller writes one line for each key."""
        over = self._over(now)
        for key, suppressed in over:
            if suppressed:
                self._restart(key, now)
            else:
                del self._entries[key]
        return [(key, suppressed) for key, suppressed in over if suppressed]

    def _restart(self, key: Hashable, now: float) -> None:
        self._entries[key] = _Entry(now + LOG_INTERVAL_S)
        self._entries.move_to_end(key)

    def _forget(self, now: float) -> None:
        for key, _ in self._over(now):
            del self._entries[key]

    def _over(self, now: float) -> list[tuple[Hashable, int]]:
        over = []
        for key, entry in self._entries.items():
            if now < entry.next_at:
                break
            over.append((key, entry.suppressed))
        return over
