"""Bounds the bytes of log lines about peers, which come and go as often as they like.

Each address may have so many bytes of lines in an interval, and all together so many more:
an address with many lines leaves the others their share. Omitted lines are counted.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.defaults import (
    LOG_ADDRESS_BYTES,
    LOG_INTERVAL_S,
    LOG_PEERS_BYTES,
)

# Addresses that are counted one by one in an interval; the others are counted together.
_MAX_ADDRESSES: Final = 1000


@dataclasses.dataclass(slots=True)
class _Spent:
    bytes: int = 0
    left_out: int = 0


class LineBudget:
    """``now`` is seconds of any one clock. For one thread."""

    def __init__(
        self,
        each: int = LOG_ADDRESS_BYTES,
        together: int = LOG_PEERS_BYTES,
        *,
        what: str = "lines about clients",
    ) -> None:
        """So many bytes in `LOG_INTERVAL_S` about ``each`` address, and ``together``. ``what``
        is the name of such lines."""
        self._what = what
        self._each = each
        self._together = together
        self._ends_at = 0.0
        self._all = _Spent()
        self._addresses: dict[str | None, _Spent] = {}

    def is_spent(self, address: str | None, now: float) -> bool:
        """Whether a line about ``address`` has been left out in this interval; then the next
        one is counted like it. For callers that save the work of making a line."""
        spent = self._spent_about(address, now)
        if not spent.left_out:
            return False
        spent.left_out += 1
        self._all.left_out += 1
        return True

    def allows(
        self, address: str | None, line: str, now: float, *, more: int = 0
    ) -> bool:
        """Whether a line about a peer at ``address`` may be written at ``now``. If not, it is
        counted. None: an unknown one. It takes ``more`` bytes of the budget than it has."""
        spent = self._spent_about(address, now)
        size = len(line.encode(errors="backslashreplace")) + more
        if spent.bytes + size > self._each or self._all.bytes + size > self._together:
            spent.left_out += 1
            self._all.left_out += 1
            return False
        spent.bytes += size
        self._all.bytes += size
        return True

    def summary(self, now: float) -> str | None:
        """The omitted lines of an interval that is over at ``now``; None: there are none."""
        count, spent = self._all.left_out, self._addresses
        if now < self._ends_at or not count:
            return None
        self._begin(now)
        address, most = max(spent.items(), key=lambda item: item[1].left_out)
        where = "unknown addresses" if address is None else address
        text = f"{count} more {self._what} in {LOG_INTERVAL_S:g} s are left out"
        if most.left_out < count:
            return f"{text}, {most.left_out} of them about {where}"
        return f"{text}, all about {where}"

    def _spent_about(self, address: str | None, now: float) -> _Spent:
        if now >= self._ends_at and not self._all.left_out:  # else `summary` begins
            self._begin(now)
        known = address in self._addresses or len(self._addresses) < _MAX_ADDRESSES
        return self._addresses.setdefault(address if known else None, _Spent())

    def _begin(self, now: float) -> None:
        self._ends_at = now + LOG_INTERVAL_S
        self._all = _Spent()
        self._addresses = {}
