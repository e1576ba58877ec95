"""The events between the sockets and the user.

Theory of operation
-------------------

Events are decoded into `incoming`. From there they go to the user as a *burst*, a list
iterator that a ``for`` loop reads without a call per event; or to `buffered`, where they wait
behind the burst while the program waits for something else. After a loop is left, the rest is
still in the burst.

An exception of a signal handler can come after each call and at each step of a loop, and one
of a tracer at each line. So events move from one place to another by one line without a call,
with all its values prepared: before it they are in one place, and after it in the other.
Events leave by ``for event in burst: return event``, on one line: a loop over a list takes an
event out and stores it with nothing in between, whereas after a call of ``next`` an exception
can come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any, Final

from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_subscriber.measurement.latency_sampler import LatencySampler

Item = Event | Batch

# Most buffered items in one burst.
_CHUNK: Final = 512


class EventQueue:
    """Makes bursts and batches of the received events. For the receiving thread.

    ``burst`` has the events that are delivered next, ``ready`` the batches; at most one of
    them has any. New items are appended to ``incoming``: single events, or whole batches too
    if ``has_batches`` is set.
    """

    def __init__(
        self,
        limit: int | None,
        accept: Callable[[Event], bool] | None,
        *,
        views: bool = False,
    ) -> None:
        """At most ``limit`` events are delivered, of those that ``accept`` accepts. With
        ``views`` all payloads are memoryviews."""
        self.incoming: list[Any] = []
        self.has_batches = False
        self.burst: Iterator[Event] = iter([])
        self.ready: Iterator[Batch] = iter([])
        self.dropped_count = 0  # by `accept`
        self.sampler = LatencySampler()
        self._limit = limit
        self._accept = accept
        self._views = views
        # The lists of the burst and of ``ready``, and the number of events that were in them.
        self.events: list[Event] = []
        self._batches: list[Batch] = []
        self.taken = 0
        # Up to this number of events, a burst has all new events as they are, and no others.
        self.plain_until = sys.maxsize if limit is None else limit
        if accept is not None or views:
            self.plain_until = 0
        self._buffered: list[Item] = []

    # Counts

    @property
    def event_count(self) -> int:
        """Number of delivered events."""
        batches = self._batches[len(self._batches) - length_hint(self.ready) :]
        return self.taken - length_hint(self.burst) - sum(map(len, batches))

    def count(self) -> int:
        """Number of received events that are not delivered yet."""
        waiting = self.waiting()
        items = sum(len(item) if isinstance(item, Batch) else 1 for item in waiting)
        return items + length_hint(self.burst)

    def waiting(self) -> list[Item]:
        """The items that are not delivered yet, without the rest of the burst."""
        batches = self._batches[len(self._batches) - length_hint(self.ready) :]
        return [*self._buffered, *self.incoming, *batches]

    def wanted(self) -> int:
        """How many events may still be made ready."""
        if self._limit is None:
            return sys.maxsize
        return max(0, self._limit - self.taken)

    def waits(self) -> bool:
        """Whether an event is not delivered yet."""
        if self.incoming or self._buffered:
            return True
        return bool(length_hint(self.burst) or length_hint(self.ready))

    # Bursts

    def start_burst(self) -> bool:
        """Make a burst of the received events, unless there is one. Returns whether there is
        one."""
        if length_hint(self.burst):
            return True
        if length_hint(self.ready):
            self._put_back_batch()
        events = self.incoming
        if not self._buffered and not self.has_batches and self._accept is None:
            if not events:
                if self._views:
                    # They keep memory that the publisher needs for the next ones.
                    self.events = []
                return False
            taken = self.taken + len(events)
            if self._limit is None or taken <= self._limit:
                # The path of most events.
                if self._views:
                    _view_payloads(events)
                fresh: list[Any] = []
                after = (events, iter(events), taken, fresh)
                self.events, self.burst, self.taken, self.incoming = after
                if taken > self.sampler.due:
                    self.sampler.take(events, taken)
                return True
        self.buffer_incoming()
        return self._start_buffered()

    def buffer_incoming(self) -> None:
        """Keep the new items for later."""
        self._buffered += self.incoming; self.incoming = []; self.has_batches = False  # noqa: E702  # fmt: skip

    def _start_buffered(self) -> bool:
        buffered = self._buffered
        while buffered and (wanted := self.wanted()):
            chunk = buffered[:_CHUNK]
            count = len(chunk)
            found = _single_events(chunk)
            accepted = self._accepted(found)
            dropped = self.dropped_count + len(found) - len(accepted)
            events, rest = accepted[:wanted], accepted[wanted:]
            taken = self.taken + len(events)
            after = (events, iter(events), taken, dropped, rest)
            # fmt: off
            self.events, self.burst, self.taken, self.dropped_count, buffered[:count] = after
            # fmt: on
            if events:
                if taken > self.sampler.due:
                    self.sampler.take(events, taken)
                return True
        return False

    def start_burst_of(self, topic: str) -> bool:
        """Put the next event, of ``topic`` if it is not empty, first in the burst. False if
        there is none."""
        if length_hint(self.ready):
            self._put_back_batch()
        events = self.events
        start = len(events) - length_hint(self.burst)
        for place in range(start, len(events)):
            if topic in ("", events[place].topic):
                before = events[start:place]
                before.insert(0, events[place])
                end = place + 1
                events[start:end] = before
                return True
        self.buffer_incoming()
        return self._pick_buffered(topic)

    def _pick_buffered(self, topic: str) -> bool:
        place, buffered = 0, self._buffered
        while place < len(buffered):
            item = buffered[place]
            end = place + 1
            if topic not in ("", item.topic):
                place += 1
            elif isinstance(item, Batch):
                rest = item.events()
                buffered[place:end] = rest
            elif not self._accepted([item]):
                del buffered[place]; self.dropped_count += 1  # noqa: E702  # fmt: skip
            else:
                events = self.events
                start = len(events) - length_hint(self.burst)
                # A loop over the old list may have to continue.
                if start == len(events):
                    events, start = [], 0
                burst = self.burst if events else iter(events)
                after, gone = (
                    (events, burst, self.taken + 1, [item], ()),
                    slice(place, end),
                )
                # fmt: off
                self.events, self.burst, self.taken, events[start:start], buffered[gone] = after
                # fmt: on
                return True
        return False

    # Batches

    def start_batch(self) -> bool:
        """Put the next batches into ``ready``. Returns whether there are any."""
        if length_hint(self.ready):
            return True
        if length_hint(self.burst):
            self._put_back_burst()
        self.buffer_incoming()
        while self._buffered and (wanted := self.wanted()):
            plain = self._limit is None and self._accept is None
            count = len(self._buffered) if plain else 1
            found = [_batch_of(item) for item in self._buffered[:count]]
            if self._views:
                for batch in found:
                    views: list[Any] = [memoryview(each) for each in batch.payloads]
                    batch.payloads = views
            if self._accept is None:
                batches = [_first(batch, wanted) for batch in found]
                rest = [event for batch in found for event in _after(batch, wanted)]
                dropped = self.dropped_count
            else:
                events = found[0].events()
                accepted = self._accepted(events)
                batches, rest = [Batch.of(each) for each in accepted[:1]], accepted[1:]
                dropped = self.dropped_count + len(events) - len(accepted)
            taken = self.taken + sum(map(len, batches))
            after = (batches, iter(batches), taken, dropped)
            self._batches, self.ready, self.taken, self.dropped_count = after; self._buffered[:count] = rest  # noqa: E501, E702  # fmt: skip
            if batches:
                if taken > self.sampler.due:
                    self.sampler.take(batches[-1], taken)
                return True
        if self._views:
            self._batches = []  # see `start_burst`
        return False

    def put_back(self) -> None:
        """Keep the ready items that were not taken for later. A loop over the burst ends."""
        if length_hint(self.ready):
            self._put_back_batch()
        self._put_back_burst()

    def empty(self) -> None:
        """Deliver nothing more."""
        self.incoming = []
        self._buffered = []
        del self.events[:]
        del self._batches[:]

    # Inside

    def _put_back_burst(self) -> None:
        """End the burst, and keep its rest for later. A loop over it finds no more events."""
        events = self.events
        start = len(events) - length_hint(self.burst)
        rest = events[start:]
        taken = self.taken - len(rest)
        self._buffered[:0] = rest; self.taken = taken; del events[start:]  # noqa: E702  # fmt: skip

    def _put_back_batch(self) -> None:
        """Keep the rest of the ready batches for later."""
        batches = self._batches
        start = len(batches) - length_hint(self.ready)
        rest = batches[start:]
        taken = self.taken - sum(map(len, rest))
        self._buffered[:0] = rest; self.taken = taken; del batches[start:]  # noqa: E702  # fmt: skip

    def _accepted(self, events: list[Event]) -> list[Event]:
        """The events that ``accept`` accepts."""
        if self._views:
            _view_payloads(events)
        accept = self._accept
        if accept is None:
            return events
        return [event for event in events if accept(event)]


def _view_payloads(events: list[Event]) -> None:
    """Make the payloads memoryviews. Again, this does nothing."""
    for event in events:
        if not isinstance(event.payload, memoryview):
            event.payload = memoryview(event.payload)  # type: ignore[assignment]


def _batch_of(item: Item) -> Batch:
    return item if isinstance(item, Batch) else Batch.of(item)


def _first(batch: Batch, count: int) -> Batch:
    return batch if len(batch) <= count else batch.first(count)


def _after(batch: Batch, count: int) -> list[Event]:
    return batch.events()[count:] if len(batch) > count else []


def _single_events(items: list[Item]) -> list[Event]:
    events: list[Event] = []
    for item in items:
        if isinstance(item, Batch):
            events += item.events()
        else:
            events.append(item)
    return events
