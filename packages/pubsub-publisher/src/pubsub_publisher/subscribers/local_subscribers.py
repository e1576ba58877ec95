"""Which subscribers are narrow, which read this publisher's memory, and which others have
subscribed to a topic (`pubsub_common.protocol.local_lane`)."""

from __future__ import annotations

from typing import Final, TypeVar

from pubsub_common.protocol.events import PRIVATE_MARK
from pubsub_common.protocol.local_lane import (
    LANE_MARK,
    is_narrow,
    parse_lane_subscription,
)
from pubsub_common.protocol.recovery_messages import POSITION_MARK, RECOVERY_MARK

_T = TypeVar("_T")

# The first bytes of subscriptions to which no event belongs. A forwarder's mark begins with 0.
_NO_EVENTS: Final = (
    *(b"\0", b"\1", LANE_MARK),
    *(PRIVATE_MARK, RECOVERY_MARK, POSITION_MARK),
)


class LocalSubscribers:
    """It is pure.

    ``wanted``: a subscriber reads this publisher's memory. ``complete``: all narrow ones do.
    """

    def __init__(self) -> None:
        self.wanted = self.complete = False
        self.departures = 0  # of narrow subscribers, which may have been killed
        # Of subscriptions that must be answered (`pubsub_common.protocol.local_lane`).
        self.arrivals = 0
        self._session = -1
        self._narrow: set[int] = set()
        # Each with the publisher of the memory that it reads.
        self._readers: set[tuple[int, int]] = set()
        self._others: set[bytes] = set()
        self._wanted_by_others: dict[bytes, bool] = {}

    @property
    def count(self) -> int:
        """The number of narrow subscribers."""
        return len(self._narrow)

    def use_session(self, session: int) -> None:
        """Set the publisher's session."""
        self._session = session
        self._judge()

    def receive(self, raw: bytes, *, begins: bool) -> bool:
        """Apply a subscription, or its end. Returns whether it is about memory."""
        first = raw[:1]
        if first == LANE_MARK:
            found = parse_lane_subscription(raw)
            if found is None:
                return False
            self.arrivals += begins
            if found.publisher is None:
                _change(self._narrow, found.subscriber, begins=begins)
                self.departures += not begins
            else:
                _change(
                    self._readers, (found.subscriber, found.publisher), begins=begins
                )
            self._judge()
            return True
        if first not in _NO_EVENTS and not is_narrow(raw):
            _change(self._others, raw, begins=begins)
            self._wanted_by_others.clear()
        return False

    def wanted_by_others(self, prefix: bytes) -> bool:
        """Whether a subscriber that is not narrow receives frames with this first part."""
        wanted = self._wanted_by_others.get(prefix)
        if wanted is None:
            wanted = any(prefix.startswith(each) for each in self._others)
            self._wanted_by_others[prefix] = wanted
        return wanted

    def _judge(self) -> None:
        session = self._session
        reading = [(each, session) in self._readers for each in self._narrow]
        self.wanted = any(reading)
        self.complete = self.wanted and all(reading)


def _change(found: set[_T], item: _T, *, begins: bool) -> None:
    if begins:
        found.add(item)
    else:
        found.discard(item)
