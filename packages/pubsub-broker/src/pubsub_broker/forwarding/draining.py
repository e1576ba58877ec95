"""Decides when to disconnect from publishers that have left.

The last events of a publisher may still be in its queue, in the network or in ours, and
disconnecting would drop them. So the broker receives for a grace time, and longer while
more may come and it waits for a slow reader. There is a limit, as the number of these
connections has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Final

DETACH_GRACE_S: Final = 6.0
# The longest time, if nothing blocks the broker itself.
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
        """The publisher has left just now."""
        self._departures[address] = _Departure(now + DETACH_GRACE_S, now + MAX_DRAIN_S)

    def cancel(self, address: str) -> None:
        """The publisher is back, or must be disconnected immediately."""
        self._departures.pop(address, None)

    def addresses(self) -> list[str]:
        """Publishers that have left and are still received."""
        return list(self._departures)

    def next_check(self) -> float | None:
        """When `finish` is due; None: never, in the current state."""
        if not self._departures:  # almost always, and a forwarder asks at each wait
            return None
        return min(item.check_at for item in self._departures.values())

    def postpone(self, now: float) -> None:
        """Nothing was read until now, so their times begin again."""
        for address in self._departures:
            self.begin(address, now)

    def finish(
        self, now: float, may_send_more: Callable[[Collection[str]], Collection[str]]
    ) -> list[str]:
        """The publishers to disconnect from now. ``may_send_more`` returns those of the
        given publishers from which more may come; it is called only when needed."""
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
