"""Requests missing events from their publisher, and delivers all in order.

Theory of operation
-------------------
A stream whose next event is missing is held: events that arrive after the gap are buffered
until those in it have come, or are known to be lost: so many of a stream, and so many bytes of all
streams together. Meanwhile the publisher is
asked for the gap, part by part (`pubsub_common.protocol.recovery_messages`): each answer
delivers what it brings, then what was held and follows, and the next request goes out if
there is still a gap. An answer that does not come is asked for again, less and less often.
What has been missing for ``timeout_s`` seconds, in which no answer has brought anything, counts
as lost, and the stream goes on behind it (`pubsub_subscriber.streams.held_stream`).

A stream's tracker says which event is next, as it does without recovery; events that are
held are not yet counted. What cannot be held is dropped and will be asked for like what
never arrived: what its publisher no longer has then is reported lost. When all streams together
hold too much, those that hold most give up their last events.

With ``from_start`` a stream begins with the oldest event that its publisher still has.
What it no longer has was never ours, so it is not lost.

When another publisher takes over the topic (`pubsub_subscriber.streams.stream_table`), a
stream that is held still gets what was published before that, and nothing more: what comes
then is skipped, also if the stream is still held when the topic is its own again.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import MutableSequence
from typing import Any, Final

from pubsub_common.defaults import MAX_JUMP, RECOVER_BYTES
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import ATTEMPTS, Event
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    recovery_topic,
)
from pubsub_common.protocol.sequence import Gap, StreamTracker
from pubsub_subscriber.streams.effects import Request, Withdraw
from pubsub_subscriber.streams.held_stream import RETRY_S, HeldBytes, HeldStream

_RETRY_MAX_S: Final = 4.0

Key = tuple[int, str]


class Recovery:
    """The streams with gaps. The caller takes ``effects`` away, and performs them in order."""

    def __init__(
        self,
        session: int,
        timeout_s: float,
        *,
        max_held: int,
        held_bytes: int = RECOVER_BYTES,
        from_start: bool = False,
    ) -> None:
        """``session`` is this subscriber's, which may change; at most ``max_held`` events
        of a stream are held, and ``held_bytes`` of all."""
        self.effects: list[Request | Withdraw] = []
        # Publishers that have nothing from before, with the topic, where that was wanted.
        self.without_history: list[Key] = []
        self.session = session
        self._timeout_s = timeout_s
        self._max_held = max_held
        self._held = HeldBytes(held_bytes)
        self._from_start = from_start
        self._streams: dict[Key, HeldStream] = {}
        self._attempt = 0
        # When to look at a stream: no later than it is due. What is no stream's
        # ``scheduled_at`` any more is stale.
        self._schedule: list[tuple[float, int, HeldStream]] = []
        self._order = itertools.count()

    def has_gap(self, key: Key) -> bool:
        """Whether a stream has a gap."""
        return key in self._streams

    def next_deadline(self) -> float | None:
        """When `poll` may have something to do."""
        if not self._streams:
            self._schedule.clear()
        return self._schedule[0][0] if self._schedule else None

    def on_event(
        self,
        tracker: StreamTracker,
        event: Event,
        now: float,
        items: MutableSequence[Any],
    ) -> None:
        """An event has arrived; append what is to be delivered now to ``items``."""
        number = event.sequence
        stream = self._streams.get((tracker.session, tracker.topic))
        if tracker.expected < 0:
            stream = self._begin(tracker, number, now)
        if number < tracker.expected:
            tracker.duplicated += 1
            return
        if tracker.skipped and stream is not None and number >= stream.target:
            stream.skip(number + 1)
            return
        if stream is None:
            if number == tracker.expected:
                tracker.expected += 1
                items.append(event)
                return
            stream = self._open_gap(tracker)
        stream.hold(event, now)
        self._advance(stream, now, items)
        self._held.give_up(self._streams.values(), now)

    def on_position(
        self,
        tracker: StreamTracker,
        sequence: int,
        now: float,
        items: MutableSequence[Any],
    ) -> None:
        """All events of a stream below number ``sequence`` have been published, and none
        of them will arrive that has not."""
        stream = self._streams.get((tracker.session, tracker.topic))
        if tracker.expected < 0:
            stream = self._begin(tracker, sequence, now)
        if sequence <= tracker.expected:
            return
        if tracker.skipped:
            if stream is not None and sequence > stream.target:
                stream.skip(sequence)
            return
        if stream is None:
            stream = self._open_gap(tracker)
        stream.extend(sequence, now)
        self._advance(stream, now, items)

    def on_reply(
        self,
        request: RecoveryRequest,
        reply: Batch,
        now: float,
        items: MutableSequence[Any],
    ) -> list[Gap]:
        """A publisher's answer; what it says is lost."""
        stream = self._streams.get((request.publisher, request.topic))
        if stream is None:
            return []  # it came late, and another one has served
        tracker = stream.tracker
        gaps: list[Gap] = []
        before = tracker.expected
        if request == stream.request:
            if stream.joining and before == 0 and not len(reply):
                self.without_history.append((request.publisher, request.topic))
            # The rest of what was asked for is still to be had.
            end = min(reply.sequence, request.last + 1)
            while tracker.expected < end:  # but what came by itself meanwhile
                gaps += self._give_up(stream, min(end, stream.gap_end()))
                stream.release(items)
            stream.joining = False
        for event in reply.events():
            if event.sequence == tracker.expected:
                tracker.expected += 1
                tracker.recovered += 1
                stream.take(event.sequence)
                items.append(event)
        if tracker.expected > before:
            stream.made_progress(now)
            self._withdraw_request(stream)
        self._advance(stream, now, items)
        return gaps

    def poll(self, now: float, items: MutableSequence[Any], *, idle: bool) -> list[Gap]:
        """Ask again, or give up, where it is time; what is lost thereby. ``idle``: all
        that has been received was looked at."""
        gaps = []
        due = []
        while self._schedule and self._schedule[0][0] <= now:
            at, _, stream = heapq.heappop(self._schedule)
            if stream.scheduled_at == at:
                stream.scheduled_at = None
                due.append(stream)
        for stream in due:
            # The receive path has perhaps delivered what was missing, without a word.
            stream.release(items)
            if stream.tracker.expected >= stream.target:
                self._close(stream)
                continue
            end = stream.overdue(now, self._timeout_s, idle=idle)
            if end is None and now < stream.retry_at:
                self._reschedule(stream)
                continue
            while end is not None and stream.tracker.expected < end:
                gaps += self._give_up(stream, min(end, stream.gap_end()))
                stream.release(items)
                stream.pause_s = RETRY_S
            self._withdraw_request(stream)
            self._advance(stream, now, items)
        return gaps

    def abandon(self, key: Key, items: MutableSequence[Any]) -> list[Gap]:
        """Nothing more will come of a stream: deliver what is held; all gaps are
        lost."""
        gaps = []
        while (stream := self._streams.get(key)) is not None:
            gaps += self._give_up(stream, stream.gap_end())
            stream.release(items)
            if stream.tracker.expected >= stream.target:
                self._close(stream)
        return gaps

    # Inside

    def _begin(
        self, tracker: StreamTracker, number: int, now: float
    ) -> HeldStream | None:
        """The first word of a stream: its event ``number`` is next, or has come."""
        # Nobody has so much history as there would be to ask for behind a jump.
        if not self._from_start or number == 0 or number > MAX_JUMP:
            tracker.begin(number)
            return None
        tracker.begin(0)
        stream = self._open_gap(tracker)
        stream.joining = True
        stream.extend(number, now)
        return stream

    def _open_gap(self, tracker: StreamTracker) -> HeldStream:
        key = (tracker.session, tracker.topic)
        stream = HeldStream(tracker, tracker.expected, self._max_held, self._held)
        self._streams[key] = stream
        return stream

    def _advance(
        self, stream: HeldStream, now: float, items: MutableSequence[Any]
    ) -> None:
        """Deliver what follows; then the stream is whole, or there is a request to
        ask."""
        stream.release(items)
        tracker = stream.tracker
        if tracker.expected >= stream.target:
            self._close(stream)
            return
        asked = stream.request
        if asked is not None and asked.first <= tracker.expected <= asked.last:
            self._reschedule(stream)
            return  # the answer is on the way
        self._withdraw_request(stream)
        self._attempt += 1
        request = RecoveryRequest(
            tracker.topic,
            tracker.session,
            self.session,
            tracker.expected,
            stream.gap_end() - 1,
            self._attempt % ATTEMPTS,
        )
        stream.request = request
        stream.retry_at = now + stream.pause_s
        stream.pause_s = min(2 * stream.pause_s, _RETRY_MAX_S)
        self._reschedule(stream)
        self.effects.append(
            Request(request.publisher, tracker.topic, recovery_topic(request))
        )

    def _give_up(self, stream: HeldStream, end: int) -> list[Gap]:
        """What is next and lies before number ``end`` will not come."""
        # Once something was delivered, what is missing is missing.
        joining = stream.joining and stream.tracker.expected == 0
        stream.joining = False
        if joining:
            stream.tracker.begin(end)
            return []
        gap = stream.tracker.expect(end)
        return [] if gap is None else [gap]

    def _withdraw_request(self, stream: HeldStream) -> None:
        if stream.request is not None:
            request = stream.request
            raw = recovery_topic(request)
            self.effects.append(Withdraw(request.publisher, request.topic, raw))
            stream.request = None

    def _reschedule(self, stream: HeldStream) -> None:
        """See to it that a stream is looked at in time."""
        at = min(stream.retry_at, stream.give_up_at(self._timeout_s))
        if stream.scheduled_at is None or at < stream.scheduled_at:
            stream.scheduled_at = at
            heapq.heappush(self._schedule, (at, next(self._order), stream))

    def _close(self, stream: HeldStream) -> None:
        self._withdraw_request(stream)
        stream.scheduled_at = None
        stream.close()
        del self._streams[(stream.tracker.session, stream.tracker.topic)]
