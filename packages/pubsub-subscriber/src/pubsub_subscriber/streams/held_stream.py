"""One stream with a gap: the events that wait behind it, and since when each is missing.

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
# What becomes missing within this time after something else counts as missing since then.
_SAME_TIME_S: Final = 0.1
# Time is up, but there are frames that were not looked at, with the answer perhaps among
# them: that long they are looked at, and no longer.
_LAST_LOOK_S: Final = 0.25


# When there is too much, a share of what is allowed is given up at once: to find the stream that
# holds most takes a look at all of them.
_SHARE: Final = 64


@dataclasses.dataclass(slots=True)
class HeldBytes:
    """What all streams hold together, in bytes of payload and of what Python needs for each
    event, and the most that they may."""

    limit: int = RECOVER_BYTES
    size: int = 0

    def give_up(self, streams: Collection[HeldStream], now: float) -> None:
        """If it is too much, the streams that hold most give up their last events. Those
        will be asked for like what never arrived."""
        if self.size <= self.limit:
            return
        wanted = self.limit - self.limit // _SHARE
        while self.size > wanted:
            most = max(streams, key=lambda stream: stream.size)
            # Half of it: then another one has most.
            most.give_up(max(most.size // 2, most.size - self.size + wanted), now)


@dataclasses.dataclass(slots=True)
class HeldStream:
    """A stream with a gap: all below ``target`` has been published. It holds ``size`` of the
    bytes of ``all_held``."""

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
    scheduled_at: float | None = None  # when it is looked at next
    # What is none of ours: each the first number, and the one behind the last.
    passed: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    # The numbers of what is held, and of what was before what is expected: a heap.
    _order: list[int] = dataclasses.field(default_factory=list)
    # What is missing below a number is so since a time, of several the first.
    _missing: deque[tuple[int, float]] = dataclasses.field(default_factory=deque)
    _progress_at: float = float("-inf")
    _overdue_at: float | None = None

    def skip(self, end: int) -> None:
        """From the target on to number ``end``. The target stays while this goes on."""
        if self.passed and self.passed[-1][0] == self.target:
            end = max(end, self.passed.pop()[1])
        self.passed.append((self.target, end))

    def gap_end(self) -> int:
        """The number behind the gap that comes next."""
        end = self.target
        self._drop_overtaken()
        if self._order:
            end = min(end, self._order[0])
        if self.passed:
            end = min(end, self.passed[0][0])
        return end

    def _drop_overtaken(self) -> None:
        """Forget what was released, and what another one has overtaken that came late."""
        order, expected = self._order, self.tracker.expected
        while order and order[0] < expected:
            self.take(heapq.heappop(order))

    def extend(self, target: int, now: float) -> None:
        """All below ``target`` has been published; what of it is new is missing from now
        on."""
        if target <= self.target:
            return
        self.target = target
        if self._missing and now - self._missing[-1][1] < _SAME_TIME_S:
            self._missing[-1] = (target, self._missing[-1][1])
        else:
            self._missing.append((target, now))

    def hold(self, event: Event, now: float) -> None:
        """Keep an event until those before it have come, if there is room."""
        number = event.sequence
        if number in self.held:
            self.tracker.duplicated += 1
        elif len(self.held) < self.max_held or number == self.tracker.expected:
            self.held[number] = event
            heapq.heappush(self._order, number)
            self._grow(_cost(event))
            self.extend(number, now)
            self.target = max(self.target, number + 1)
        else:  # it will be asked for like what never arrived
            self.extend(number + 1, now)

    def take(self, number: int) -> Event | None:
        """Hold this event no longer, if it is held."""
        event = self.held.pop(number, None)
        if event is not None:
            self._grow(-_cost(event))
        return event

    def give_up(self, size: int, now: float) -> None:
        """Hold no more than ``size`` bytes: give up the last events."""
        numbers = sorted(self.held)
        last = numbers[-1]
        while numbers and self.size > size:
            self.take(numbers.pop())
        self._order = numbers
        if not self._missing or self._missing[-1][0] <= last:
            self._missing.append((last + 1, now))

    def close(self) -> None:
        """Hold nothing any more."""
        for number in tuple(self.held):
            self.take(number)

    def _grow(self, size: int) -> None:
        self.size += size
        self.all_held.size += size

    def release(self, items: MutableSequence[Any]) -> None:
        """Deliver what is held and follows, behind what is skipped."""
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
        """An answer has brought something: the next one has as much time."""
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
        """The number below which what is missing will not come; None: it still may.
        ``idle``: all frames that arrived were looked at."""
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
