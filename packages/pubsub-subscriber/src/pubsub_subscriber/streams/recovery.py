"""Requests missing events from their publisher, and delivers all in order.

Theory of operation
-------------------

A stream is held while its next event is missing: events after the gap are buffered until the
missing ones have come or are lost. The number of held events of a stream and the bytes of all
streams are limited. Meanwhile the publisher is asked for the gap, part by part
(`pubsub_common.protocol.recovery_messages`): each reply delivers its events, then the held
ones that follow, and the next request is sent if there is still a gap. A request without a
reply is repeated at growing intervals. An event that has been missing for ``timeout_s``
seconds, without a helpful reply in that time, counts as lost, and the stream continues after
it (`pubsub_subscriber.streams.held_stream`).

A stream's tracker has the next number, as without recovery; held events are not counted yet.
An event that does not fit is dropped and requested later like a missing one; if its publisher
no longer has it then, it is reported as lost. When all streams together hold too much, the
largest ones drop their last events.

With ``from_start`` a stream begins with the oldest event that its publisher still has.
Earlier events do not count as lost.

When another publisher takes over the topic (`pubsub_subscriber.streams.stream_table`), a held
stream still gets the events that were published before, and nothing more: later ones are
skipped, also if the stream is still held when its publisher owns the topic again.

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
        """``session`` is this subscriber's, which may change. At most ``max_held`` events of
        a stream are held, and ``held_bytes`` of all."""
        self.effects: list[Request | Withdraw] = []
        # Publishers without earlier events, with the topic, where those were requested.
        self.without_history: list[Key] = []
        self.session = session
        self._timeout_s = timeout_s
        self._max_held = max_held
        self._held = HeldBytes(held_bytes)
        self._from_start = from_start
        self._streams: dict[Key, HeldStream] = {}
        self._attempt = 0
        # When to check a stream: no later than it is due. An entry that differs from the
        # ``scheduled_at`` of its stream is stale.
        self._schedule: list[tuple[float, int, HeldStream]] = []
        self._order = itertools.count()

    def has_gap(self, key: Key) -> bool:
        """Whether a stream has a gap."""
        return key in self._streams

    def next_deadline(self) -> float | None:
        """When `poll` may have work."""
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
        """An event has arrived; append the events to deliver now to ``items``."""
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
        """All events of a stream below number ``sequence`` have been published, and missing
        ones of them will not arrive without a request."""
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
        """Process a publisher's reply; returns the events that it reports as lost."""
        stream = self._streams.get((request.publisher, request.topic))
        if stream is None:
            return []  # it came late, after another reply
        tracker = stream.tracker
        gaps: list[Gap] = []
        before = tracker.expected
        if request == stream.request:
            if stream.joining and before == 0 and not len(reply):
                self.without_history.append((request.publisher, request.topic))
            # The publisher still has the rest of the requested events.
            end = min(reply.sequence, request.last + 1)
            while (
                tracker.expected < end
            ):  # except events that came without a request meanwhile
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
        """Repeat requests, or count events as lost, where it is time. Returns the lost
        events. ``idle``: all received frames were checked."""
        gaps = []
        due = []
        while self._schedule and self._schedule[0][0] <= now:
            at, _, stream = heapq.heappop(self._schedule)
            if stream.scheduled_at == at:
                stream.scheduled_at = None
                due.append(stream)
        for stream in due:
            # The fast path may have delivered the missing events without a report.
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
        """A stream has ended: deliver the held events. Returns all gaps, which are lost."""
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
        """The first message of a stream: its event ``number`` is next, or has come."""
        # No history is as long as the gap of a jump.
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
        """Deliver the events that follow; then the stream has no gap, or a request is needed."""
        stream.release(items)
        tracker = stream.tracker
        if tracker.expected >= stream.target:
            self._close(stream)
            return
        asked = stream.request
        if asked is not None and asked.first <= tracker.expected <= asked.last:
            self._reschedule(stream)
            return  # the reply is still missing
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
        """The next events below number ``end`` will not come."""
        # After the first delivered event, missing events count.
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
        """Plan the next check of a stream."""
        at = min(stream.retry_at, stream.give_up_at(self._timeout_s))
        if stream.scheduled_at is None or at < stream.scheduled_at:
            stream.scheduled_at = at
            heapq.heappush(self._schedule, (at, next(self._order), stream))

    def _close(self, stream: HeldStream) -> None:
        self._withdraw_request(stream)
        stream.scheduled_at = None
        stream.close()
        del self._streams[(stream.tracker.session, stream.tracker.topic)]
