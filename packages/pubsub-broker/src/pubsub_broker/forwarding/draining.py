"""Decides when to disconnect from publishers that have left.

What a publisher sent last may still be on its way: in its queue, in the network, in ours;
disconnecting would drop it. So it is received for a grace time, and after that for as long as
more may come, when it waits for a slow reader; but not for ever, since nobody could bound
how many such connections there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Final

DETACH_GRACE_S: Final = 6.0
# How long at most, if nothing held us up.
MAX_DRAIN_S: Final = 60.0
_CHECK_AGAIN_S: Final = 1.0


@dataclasses.dataclass(slots=True)
class _Departure:
    check_at: float
    until: float


class DrainingPublishers:
    """Publishers that have left, by address. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._departures: dict[str, _Departure] = {}

    def begin(self, address: str, now: float) -> None:
        """It has left just now."""
        self._departures[address] = _Departure(now + DETACH_GRACE_S, now + MAX_DRAIN_S)

    def cancel(self, address: str) -> None:
        """It is back, or must not be received any more."""
        self._departures.pop(address, None)

    def addresses(self) -> list[str]:
        """Publishers that have left and are still received."""
        return list(self._departures)

    def next_check(self) -> float | None:
        """When `finish` has something to do; None: never, as things are."""
        return min((item.check_at for item in self._departures.values()), default=None)

    def postpone(self, now: float) -> None:
        """Nothing was read until now, so nothing of their times has passed."""
        for address in self._departures:
            self.begin(address, now)

    def finish(
        self, now: float, may_send_more: Callable[[Collection[str]], Collection[str]]
    ) -> list[str]:
        """Those to disconnect from now. ``may_send_more`` tells from which of some publishers
        more may come; it is asked only when it matters."""
        due = {
            address: departure
            for address, departure in self._departures.items()
            if departure.check_at <= now
        }
        if not due:
            return []
        more = may_send_more(due.keys())
        over = []
        for address, departure in due.items():
            if address in more and now < departure.until:
                departure.check_at = now + _CHECK_AGAIN_S
            else:
                del self._departures[address]
                over.append(address)
        return over
