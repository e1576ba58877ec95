"""Requests missing events from their publisher, and delivers all in order.

Theory of operation
-------------------
A stream whose next event is missing is held: events that arrive after the gap are buffered
until those in it have come, or are known to be lost. Meanwhile the publisher is
asked for the gap, part by part (`pubsub_common.protocol.recovery_messages`): each answer
delivers what it brings, then what was held and follows, and the next request goes out if
there is still a gap. An answer that does not come is asked for again, less and less often. After
``timeout_s`` seconds without one the gap counts as lost, and the stream goes on behind it.

A stream's tracker says which event is next, as it does without recovery; events that are
held are not yet counted. What cannot be held is dropped and will be asked for like what
never arrived.

With ``from_start`` a stream begins with the oldest event that its publisher still has.
What it no longer has was never ours, so it is not lost.

When another publisher takes over the topic (`pubsub_subscriber.streams.stream_table`), a
stream that is held still gets what was published before that, and nothing more: what comes
then is skipped, also if the stream is still held when the topic is its own again.

All times are seconds of one monotonic clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, MutableSequence
from typing import Any, Final

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.recovery_messages import (
    ATTEMPTS,
    RecoveryRequest,
    recovery_topic,
)
from pubsub_common.protocol.sequence import Gap, StreamTracker

_RETRY_S: Final = 0.5
_RETRY_MAX_S: Final = 4.0
# While more is received than can be looked at, an answer may be among it.
_BUSY_FACTOR: Final = 3.0

Key = tuple[int, str]


@dataclasses.dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """Subscribe to ``raw``, or (``begins`` false) do so no longer, where events of
    ``publisher`` (its session) and ``topic`` come from."""

    publisher: int
    topic: str
    raw: bytes
    begins: bool


@dataclasses.dataclass(slots=True)
class _Stream:
    """A stream with a gap: all below ``target`` has been published."""

    tracker: StreamTracker
    target: int
    give_up_at: float
    joining: bool = False
    held: dict[int, Event] = dataclasses.field(default_factory=dict)
    request: RecoveryRequest | None = None
    retry_at: float = 0.0
    pause_s: float = _RETRY_S
    # What is none of ours: each the first number, and the one behind the last.
    passed: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def skip(self, end: int) -> None:
        """From the target on to number ``end``. The target stays while this goes on."""
        if self.passed and self.passed[-1][0] == self.target:
            end = max(end, self.passed.pop()[1])
        self.passed.append((self.target, end))

    def gap_end(self) -> int:
        """The number behind the gap that comes next."""
        expected = self.tracker.expected
        for number in [number for number in self.held if number < expected]:
            del self.held[number]  # what was late has overtaken it
        ends = [self.target, *self.held, *(first for first, _ in self.passed)]
        return min(ends)


class Recovery:
    """The streams with gaps. The caller carries out ``subscription_changes``, in order."""

    def __init__(
        self,
        session: Callable[[], int],
        timeout_s: float,
        *,
        max_held: int,
        from_start: bool = False,
    ) -> None:
        """``session`` is this subscriber's; at most ``max_held`` events of a stream are
        held."""
        self.subscription_changes: list[SubscriptionChange] = []
        self._session = session
        self._timeout_s = timeout_s
        self._max_held = max_held
        self._from_start = from_start
        self._streams: dict[Key, _Stream] = {}
        self._attempt = 0

    def has_gap(self, key: Key) -> bool:
        """Whether a stream has a gap."""
        return key in self._streams

    def next_deadline(self) -> float | None:
        """When `poll` has something to do."""
        if not self._streams:
            return None
        return min(stream.retry_at for stream in tuple(self._streams.values()))

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
            stream = self._open_gap(tracker, now)
        self._hold(stream, event)
        self._advance(stream, now, items)

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
            stream = self._open_gap(tracker, now)
        stream.target = max(stream.target, sequence)
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
            # The rest of what was asked for is still to be had.
            end = min(reply.sequence, request.last + 1)
            while tracker.expected < end:  # but what came by itself meanwhile
                gaps += self._give_up(stream, min(end, stream.gap_end()))
                self._release(stream, items)
            stream.joining = False
        for event in reply.events():
            if event.sequence == tracker.expected:
                tracker.expected += 1
                tracker.recovered += 1
                stream.held.pop(event.sequence, None)
                items.append(event)
        if tracker.expected > before:
            stream.give_up_at = now + self._timeout_s
            stream.pause_s = _RETRY_S
            self._withdraw_request(stream)
        self._advance(stream, now, items)
        return gaps

    def poll(self, now: float, items: MutableSequence[Any], *, idle: bool) -> list[Gap]:
        """Ask again, or give up, where it is time; what is lost thereby. ``idle``: all
        that has been received was looked at."""
        gaps = []
        for stream in [*self._streams.values()]:
            if now < stream.retry_at:
                continue
            grace_s = 0.0 if idle else self._timeout_s * (_BUSY_FACTOR - 1)
            if now >= stream.give_up_at + grace_s:
                gaps += self._give_up(stream, stream.gap_end())
                stream.give_up_at = now + self._timeout_s
                stream.pause_s = _RETRY_S
            self._withdraw_request(stream)
            self._advance(stream, now, items)
        return gaps

    def abandon(self, key: Key, items: MutableSequence[Any]) -> list[Gap]:
        """Nothing more will come of a stream: deliver what is held; all gaps are
        lost."""
        gaps = []
        while (stream := self._streams.get(key)) is not None:
            gaps += self._give_up(stream, stream.gap_end())
            self._release(stream, items)
            if stream.tracker.expected >= stream.target:
                self._close(stream)
        return gaps

    # Inside

    def _begin(self, tracker: StreamTracker, number: int, now: float) -> _Stream | None:
        """The first word of a stream: its event ``number`` is next, or has come."""
        if not self._from_start or number == 0:
            tracker.begin(number)
            return None
        tracker.begin(0)
        stream = self._open_gap(tracker, now)
        stream.joining = True
        stream.target = number
        return stream

    def _open_gap(self, tracker: StreamTracker, now: float) -> _Stream:
        key = (tracker.session, tracker.topic)
        stream = _Stream(tracker, tracker.expected, now + self._timeout_s)
        self._streams[key] = stream
        return stream

    def _hold(self, stream: _Stream, event: Event) -> None:
        stream.target = max(stream.target, event.sequence + 1)
        if event.sequence in stream.held:
            stream.tracker.duplicated += 1
        elif (
            len(stream.held) < self._max_held
            or event.sequence == stream.tracker.expected
        ):
            stream.held[event.sequence] = event

    def _release(self, stream: _Stream, items: MutableSequence[Any]) -> None:
        """Deliver what is held and follows, behind what is skipped."""
        tracker = stream.tracker
        while True:
            while (event := stream.held.pop(tracker.expected, None)) is not None:
                tracker.expected += 1
                items.append(event)
            if not stream.passed or stream.passed[0][0] > tracker.expected:
                return
            tracker.begin(stream.passed.pop(0)[1])

    def _advance(
        self, stream: _Stream, now: float, items: MutableSequence[Any]
    ) -> None:
        """Deliver what follows; then the stream is whole, or there is a request to
        ask."""
        self._release(stream, items)
        tracker = stream.tracker
        if tracker.expected >= stream.target:
            self._close(stream)
            return
        asked = stream.request
        if asked is not None and asked.first <= tracker.expected <= asked.last:
            return  # the answer is on the way
        self._withdraw_request(stream)
        self._attempt += 1
        request = RecoveryRequest(
            tracker.topic,
            tracker.session,
            self._session(),
            tracker.expected,
            stream.gap_end() - 1,
            self._attempt % ATTEMPTS,
        )
        stream.request = request
        stream.retry_at = now + stream.pause_s
        stream.pause_s = min(2 * stream.pause_s, _RETRY_MAX_S)
        self.subscription_changes.append(
            SubscriptionChange(
                request.publisher, tracker.topic, recovery_topic(request), begins=True
            )
        )

    def _give_up(self, stream: _Stream, end: int) -> list[Gap]:
        """What is next and lies before number ``end`` will not come."""
        # Once something was delivered, what is missing is missing.
        joining = stream.joining and stream.tracker.expected == 0
        stream.joining = False
        if joining:
            stream.tracker.begin(end)
            return []
        gap = stream.tracker.expect(end)
        return [] if gap is None else [gap]

    def _withdraw_request(self, stream: _Stream) -> None:
        if stream.request is not None:
            request = stream.request
            raw = recovery_topic(request)
            self.subscription_changes.append(
                SubscriptionChange(request.publisher, request.topic, raw, begins=False)
            )
            stream.request = None

    def _close(self, stream: _Stream) -> None:
        self._withdraw_request(stream)
        del self._streams[(stream.tracker.session, stream.tracker.topic)]
