"""Requests of subscribers that wait for their replies, fair to all connections.

Theory of operation
-------------------

Replies are larger than requests: a request of ninety bytes may bring a quarter of a megabyte.
libzmq's queue for a connection counts messages, not bytes, so a subscriber that sends
requests and does not read would make it hold gigabytes. Therefore

* requests wait here, those of each connection in a separate *lane*, and lanes take turns.
  Their number is limited. When there are too many, the busiest lane loses its oldest request:
  its subscriber asks again.
* a lane gets no further reply while about `ANSWER_BYTES` of replies have not arrived at the
  other side. The kernel tells how many bytes have (`Questions.progress`).
* a lane gets no more than `ANSWER_BYTES_PER_SECOND`. A broker's connection serves many
  subscribers; so the unread bytes of one of them grow no faster than the broker notices.
* all lanes together have no more than about `ANSWERS_BYTES` under way. When others wait for
  that, a connection that does not read is closed.

A reply is a quarter of a megabyte at most, unless one event is larger. A request is removed
when its subscription ends.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from pubsub_common.defaults import (
    ANSWER_BYTES,
    ANSWER_BYTES_PER_SECOND,
    ANSWERS_BYTES,
    QUESTIONS_BYTES,
)
from pubsub_common.limits.token_bucket import TokenBucket
from pubsub_common.protocol.events import ReadyRequest
from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES, RecoveryRequest

Request = ReadyRequest | RecoveryRequest

# Bytes of a request: its tuple, numbers and place. Topics are the publisher's own.
_QUESTION_BYTES: Final = 450
MAX_QUESTIONS: Final = QUESTIONS_BYTES // _QUESTION_BYTES
_RATE: Final = TokenBucket(ANSWER_BYTES_PER_SECOND, 8 * ANSWER_BYTES)
# Lanes for which the kernel is asked in one turn.
_LANES: Final = 16
# First and longest delay between checks of a lane that has not read enough.
_RETRY_S: Final = 0.005
_RETRY_MAX_S: Final = 0.1
# After so long without unread bytes, a connection has received everything.
_QUIET_S: Final = 0.02
# A connection is closed for others when it has read nothing for so long, or is behind for so
# long.
STALLED_S: Final = 2.0
BEHIND_S: Final = 10.0


@dataclasses.dataclass(slots=True)
class _Lane:
    """Requests of one connection. About ``unread`` bytes of replies have not arrived there,
    since ``behind_since``. It last read something at ``moved_at``, and has had everything
    since ``quiet_since``. ``look_at`` is the time of the next check, ``spent_at`` the
    state of its token bucket."""

    waiting: OrderedDict[Request, None] = dataclasses.field(default_factory=OrderedDict)
    unread: int = 0
    acknowledged: int = 0
    behind_since: float = 0.0
    moved_at: float = 0.0
    quiet_since: float | None = None
    pause_s: float = _RETRY_S
    look_at: float = 0.0
    spent_at: float = 0.0

    def pause(self, now: float) -> None:
        """Delay the next check, longer each time."""
        self.look_at = now + self.pause_s
        self.pause_s = min(2 * self.pause_s, _RETRY_MAX_S)

    def ended_at(self) -> float:
        """When it may be closed for others."""
        return min(self.moved_at + STALLED_S, self.behind_since + BEHIND_S)


class Questions:
    """Requests by connection, ``origin``."""

    def __init__(self, limit: int = MAX_QUESTIONS) -> None:
        self._limit = limit
        self._count = 0
        self._unread = 0
        # In the order of turns.
        self._lanes: OrderedDict[Hashable, _Lane] = OrderedDict()
        # The lanes in turn, after `progress`.
        self._turn: list[tuple[Hashable, _Lane]] = []

    def add(self, origin: Hashable, request: Request) -> None:
        """Add a request."""
        lane = self._lanes.get(origin)
        if lane is None:
            lane = self._lanes[origin] = _Lane()
        elif request in lane.waiting:
            return
        lane.waiting[request] = None
        lane.look_at = 0.0
        self._count += 1
        if self._count > self._limit:
            self._drop_one(lane)

    def withdraw(self, origin: Hashable, request: Request) -> None:
        """Remove a request."""
        lane = self._lanes.get(origin)
        if lane is not None and request in lane.waiting:
            del lane.waiting[request]
            self._count -= 1

    # Turns: `next_origins`, `progress` of each, then `take` and `answered` as often as fits

    def next_origins(self, now: float) -> list[Hashable]:
        """The connections in turn."""
        self._turn = []
        due: list[Hashable] = []
        for origin, lane in self._lanes.items():
            if lane.look_at <= now:
                due.append(origin)
                if len(due) == _LANES:
                    break
        return due

    def progress(
        self, origin: Hashable, acknowledged: int, now: float, *, whole: bool
    ) -> None:
        """The other side has received so many bytes since the connection began; ``whole``:
        all of them."""
        lane = self._lanes[origin]
        taken = acknowledged - lane.acknowledged
        lane.acknowledged = acknowledged
        if taken > 0:
            self._release(lane, taken, now)
        if not whole:
            lane.quiet_since = None
        elif lane.quiet_since is None:
            lane.quiet_since = now
        elif now - lane.quiet_since >= _QUIET_S:
            self._release(lane, lane.unread, now)
        if lane.waiting:
            self._turn.append((origin, lane))
        elif lane.unread or lane.spent_at > now:
            lane.pause(now)
        else:
            del self._lanes[origin]

    def forget(self, origin: Hashable) -> None:
        """Remove a closed connection."""
        lane = self._lanes.pop(origin)
        self._count -= len(lane.waiting)
        self._unread -= lane.unread
        self._turn = [each for each in self._turn if each[1] is not lane]

    def take(self, now: float) -> tuple[Hashable, Request] | None:
        """The request to answer next; None: none at present."""
        while self._turn:
            origin, lane = self._turn[0]
            if lane.waiting and self._may_have(lane, now):
                request, _ = lane.waiting.popitem(last=False)
                self._count -= 1
                self._lanes.move_to_end(origin)
                return origin, request
            if lane.waiting:
                lane.pause(now)
            del self._turn[0]
        return None

    def answered(self, origin: Hashable, size: int, now: float) -> None:
        """A reply of so many bytes is sent."""
        lane = self._lanes[origin]
        if not lane.unread:
            lane.behind_since = lane.moved_at = now
        lane.unread += size
        self._unread += size
        lane.spent_at = _RATE.charge(lane.spent_at, now, size)
        lane.quiet_since = None
        if not lane.waiting:
            lane.pause_s = _RETRY_S
            lane.pause(now)

    def no_room(
        self, origin: Hashable, request: Request, size: int, now: float
    ) -> None:
        """The reply could not be sent; try it again later."""
        lane = self._lanes[origin]
        if request not in lane.waiting:
            lane.waiting[request] = None
            self._count += 1
        lane.waiting.move_to_end(request, last=False)
        lane.unread -= size
        self._unread -= size
        lane.pause(now)

    def hindrance(self, now: float) -> Hashable | None:
        """The connection to close, because it does not read and others wait for that; None:
        none. It is removed."""
        if not self._count or self._unread + REPLY_MAX_BYTES <= ANSWERS_BYTES:
            return None
        behind = [each for each in self._lanes.items() if each[1].unread]
        origin, lane = min(behind, key=lambda each: each[1].ended_at())
        if now < lane.ended_at():
            return None
        self.forget(origin)
        return origin

    def next_deadline(self) -> float | None:
        """When the next turn is."""
        return min((lane.look_at for lane in self._lanes.values()), default=None)

    # Inside

    def _may_have(self, lane: _Lane, now: float) -> bool:
        """Whether there is room for another reply."""
        if _RATE.is_spent(lane.spent_at, now):
            return False
        if self._unread + REPLY_MAX_BYTES > ANSWERS_BYTES:
            return False
        return not lane.unread or lane.unread + REPLY_MAX_BYTES <= ANSWER_BYTES

    def _release(self, lane: _Lane, size: int, now: float) -> None:
        """A lane has read so many bytes."""
        size = min(size, lane.unread)
        if size:
            lane.unread -= size
            self._unread -= size
            lane.moved_at = now
            lane.pause_s = _RETRY_S

    def _drop_one(self, newest: _Lane) -> None:
        """Drop a request: there is one too many."""
        busiest = newest
        # Usually it is the newest lane, which needs no search.
        if len(newest.waiting) * len(self._lanes) < self._limit:
            busiest = max(self._lanes.values(), key=lambda lane: len(lane.waiting))
        busiest.waiting.popitem(last=False)
        self._count -= 1
