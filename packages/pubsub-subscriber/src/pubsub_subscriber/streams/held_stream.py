"""One stream with a gap: the events that wait behind it, and the time since when each is
missing.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections import deque
from collections.abc import Collection, MutableSequence
from typing import Any, Final

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES, RECOVER_BYTES
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.recovery_messages import RecoveryRequest
from pubsub_common.protocol.sequence import StreamTracker

RETRY_S: Final = 0.5
# Events that become missing within this time after others count as missing since then.
_SAME_TIME_S: Final = 0.1
# The time is over, but there are frames that were not checked, perhaps with the reply: the longest
# time to check them.
_LAST_LOOK_S: Final = 0.25


# Above the limit, a share of it is dropped at once, because finding the largest stream reads all of
# them.
_SHARE: Final = 64


@dataclasses.dataclass(slots=True)
class HeldBytes:
    """The bytes that all streams hold together, payload and Python's own for each event, and
    their limit."""

    limit: int = RECOVER_BYTES
    size: int = 0

    def give_up(self, streams: Collection[HeldStream], now: float) -> None:
        """Above the limit, the largest streams drop their last events, which are requested
        again later."""
        if self.size <= self.limit:
            return
        wanted = self.limit - self.limit // _SHARE
        while self.size > wanted:
            most = max(streams, key=lambda stream: stream.size)
            # Half of it: then another stream is the largest.
            most.give_up(max(most.size // 2, most.size - self.size + wanted), now)


@dataclasses.dataclass(slots=True)
class HeldStream:
    """A stream with a gap: all events below ``target`` have been published. It holds ``size``
    of the bytes of ``all_held``."""

    tracker: StreamTracker
    target: int
    max_held: int
    all_held: HeldBytes = dataclasses.field(default_factory=HeldBytes)
    size: int = 0
    joining: bool = False
    held: dict[int, Event] = dataclasses.field(default_factory=dict)
    request: RecoveryRequest | None = None
    retry_at: float = 0.0
    pause_s: float = RETRY_S
    scheduled_at: float | None = None  # time of the next check
    # Skipped ranges: the first number, and the number after the last.
    passed: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    # A heap of the numbers of held events, also of released ones.
    _order: list[int] = dataclasses.field(default_factory=list)
    # Missing events below a number are missing since a time, for several the first.
    _missing: deque[tuple[int, float]] = dataclasses.field(default_factory=deque)
    _progress_at: float = float("-inf")
    _overdue_at: float | None = None

    def skip(self, end: int) -> None:
        """Skip from the target on up to number ``end``. The target stays meanwhile."""
        if self.passed and self.passed[-1][0] == self.target:
            end = max(end, self.passed.pop()[1])
        self.passed.append((self.target, end))

    def gap_end(self) -> int:
        """The number after the next gap."""
        end = self.target
        self._drop_overtaken()
        if self._order:
            end = min(end, self._order[0])
        if self.passed:
            end = min(end, self.passed[0][0])
        return end

    def _drop_overtaken(self) -> None:
        """Drop events that were released, or replaced by a late one."""
        order, expected = self._order, self.tracker.expected
        while order and order[0] < expected:
            self.take(heapq.heappop(order))

    def extend(self, target: int, now: float) -> None:
        """All events below ``target`` have been published; the new ones of them are missing
        from now on."""
        if target <= self.target:
            return
        self.target = target
        if self._missing and now - self._missing[-1][1] < _SAME_TIME_S:
            self._missing[-1] = (target, self._missing[-1][1])
        else:
            self._missing.append((target, now))

    def hold(self, event: Event, now: float) -> None:
        """Keep an event until the earlier ones have come, if there is room."""
        number = event.sequence
        if number in self.held:
            self.tracker.duplicated += 1
        elif len(self.held) < self.max_held or number == self.tracker.expected:
            self.held[number] = event
            heapq.heappush(self._order, number)
            self._grow(_cost(event))
            self.extend(number, now)
            self.target = max(self.target, number + 1)
        else:  # it is requested again, like a missing event
            self.extend(number + 1, now)

    def take(self, number: int) -> Event | None:
        """Remove and return this event, if it is held."""
        event = self.held.pop(number, None)
        if event is not None:
            self._grow(-_cost(event))
        return event

    def give_up(self, size: int, now: float) -> None:
        """Hold at most ``size`` bytes: drop the last events."""
        numbers = sorted(self.held)
        last = numbers[-1]
        while numbers and self.size > size:
            self.take(numbers.pop())
        self._order = numbers
        if not self._missing or self._missing[-1][0] <= last:
            self._missing.append((last + 1, now))

    def close(self) -> None:
        """Drop everything."""
        for number in tuple(self.held):
            self.take(number)

    def _grow(self, size: int) -> None:
        self.size += size
        self.all_held.size += size

    def release(self, items: MutableSequence[Any]) -> None:
        """Deliver the held events that follow, after the skipped ones."""
        tracker = self.tracker
        while True:
            while (event := self.take(tracker.expected)) is not None:
                tracker.expected += 1
                items.append(event)
            self._drop_overtaken()
            if not self.passed or self.passed[0][0] > tracker.expected:
                return
            tracker.begin(self.passed.pop(0)[1])

    # Time

    def made_progress(self, now: float) -> None:
        """A reply has brought something: the next one has the full time."""
        self._progress_at = now
        self._overdue_at = None
        self.pause_s = RETRY_S

    def give_up_at(self, timeout_s: float) -> float:
        """When something has been missing for ``timeout_s`` seconds."""
        if self._overdue_at is not None:
            return self._overdue_at + _LAST_LOOK_S
        while self._missing and self._missing[0][0] <= self.tracker.expected:
            self._missing.popleft()
        since = self._missing[0][1] if self._missing else self._progress_at
        return max(since, self._progress_at) + timeout_s

    def overdue(self, now: float, timeout_s: float, *, idle: bool) -> int | None:
        """The number below which missing events will not come; None: they still may.
        ``idle``: all arrived frames were checked."""
        if now < self.give_up_at(timeout_s):
            return None
        if not idle and self._overdue_at is None:
            self._overdue_at = now
            return None
        self._overdue_at = None
        end = self.tracker.expected
        while self._missing and self._missing[0][1] + timeout_s <= now:
            end = self._missing.popleft()[0]
        return max(end, self.tracker.expected + 1)


def _cost(event: Event) -> int:
    return len(event.payload) + EVENT_OVERHEAD_BYTES
