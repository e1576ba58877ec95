"""Publishers that left, with events that may still arrive.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.sequence import StreamTracker
from pubsub_subscriber.streams.trackers import Trackers

# After a publisher has left, its events may still arrive; when none has arrived for this many
# seconds, missing ones count as lost. At least one lease, so that a publisher that a restarted
# broker does not know for a moment is kept meanwhile.
GRACE_S: Final = 6.0


@dataclasses.dataclass(slots=True)
class _Departing:
    departure: Departure
    deadline: float
    received: int = -1
    owner_until: float | None = None


class Departures:
    """Departing publishers by session."""

    def __init__(self, trackers: Trackers, grace_s: float = GRACE_S) -> None:
        self.grace_s = grace_s
        self._trackers = trackers
        self._departing: dict[int, _Departing] = {}

    def __contains__(self, session: int) -> bool:
        return session in self._departing

    def begin(self, departure: Departure, now: float, *, may_return: bool) -> None:
        """A publisher left or its lease expired. A publisher that may return stays an owner
        meanwhile."""
        deadline = now + self.grace_s
        self._departing[departure.session] = _Departing(
            departure, deadline, owner_until=deadline if may_return else None
        )

    def end(self, session: int) -> Departure | None:
        """A publisher is back, or finished."""
        departing = self._departing.pop(session, None)
        return None if departing is None else departing.departure

    def may_own(self, session: int) -> bool:
        """Whether a publisher may own a topic."""
        departing = self._departing.get(session)
        return departing is None or departing.owner_until is not None

    def is_orderly(self, session: int) -> bool:
        """Whether a publisher left and has sent the ends of its streams."""
        departing = self._departing.get(session)
        return departing is not None and bool(departing.departure.next_sequences)

    def next_deadline(self) -> float | None:
        """When there is work at the latest."""
        times = (each.owner_until or each.deadline for each in self._departing.values())
        return min(times, default=None)

    def end_ownership(self, now: float) -> list[int]:
        """The publishers that may no longer own a topic, from now on."""
        ended = []
        for session, departing in self._departing.items():
            until = departing.owner_until
            if until is not None and now >= until:
                departing.owner_until = None
                ended.append(session)
        return ended

    def finished(
        self, publishers: Mapping[int, PublisherInfo], now: float
    ) -> list[int]:
        """The publishers of which all events have arrived, as far as they announced, or no
        event has within the grace time."""
        return [
            session
            for session, departing in self._departing.items()
            if self._is_complete(departing.departure)
            or self._timed_out(departing, publishers[session], now)
        ]

    def unfinished(self) -> list[tuple[StreamTracker, int]]:
        """Streams, and the number at which each ends, if later events than the last arrived
        one are missing."""
        found = []
        for session, departing in self._departing.items():
            for topic, end in departing.departure.next_sequences.items():
                tracker = self._trackers.active.get((session, topic))
                if tracker is None or tracker.jumps_to(end):
                    continue
                if 0 <= tracker.expected < end:
                    found.append((tracker, end))
        return found

    def _is_complete(self, departure: Departure) -> bool:
        return bool(departure.next_sequences) and all(
            self._trackers.reached((departure.session, topic), end)
            for topic, end in departure.next_sequences.items()
        )

    def _timed_out(
        self, departing: _Departing, publisher: PublisherInfo, now: float
    ) -> bool:
        received = sum(
            tracker.received
            for topic in publisher.topics
            if (tracker := self._trackers.active.get((publisher.session, topic)))
            is not None
        )
        # It decreases when the events of a former owner are skipped.
        if received > departing.received:
            departing.deadline = now + self.grace_s
        departing.received = received
        return now >= departing.deadline
