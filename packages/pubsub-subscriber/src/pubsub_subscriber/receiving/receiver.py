"""The receiving thread's side of a subscriber: from sockets to delivered events. Shell.

Theory of operation
-------------------
Sockets are drained without waiting, and their file descriptors polled when they are
empty. The control thread connects the sockets to publishers, and wakes this one when that
may have swallowed the news of an event (`pubsub_common.net.sockets`).

Where all events come by one socket, and wake-ups bring one event each, most of an event's
cost is the way from the descriptor to the socket. Then this thread waits in the socket
itself, with its lock, until it is called (`Inlet.ring`), or something unusual comes.

Events come from the sockets in bursts (`pubsub_subscriber.receiving.fast_path`). A burst is a list
iterator, which a ``for`` loop goes through without a call per event; whoever leaves the
loop finds the rest in it, so nothing received is lost on the way to the user. What arrives
while something else is waited for is kept for later.
"""

from __future__ import annotations

import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableSequence
from operator import length_hint
from typing import Any, Final

from pubsub_common.net.sockets import Waker
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Latency
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.measurement.latency_sampler import LatencySampler
from pubsub_subscriber.receiving.fast_path import BURST, Intake, Item

# How long after `stop` frames are still taken from the sockets: without a limit, a
# publisher that is faster than this subscriber would keep it from ending.
_STOP_S: Final = 1.0
_MAX_POLL_S: Final = 3600.0
# Who receives so many messages, each less than that after the one before, takes several at
# once. Fewer may have come in one go, and it goes on as before.
_STREAM: Final = 16
_STREAM_NS: Final = 20_000


class Receiver:
    """Delivers events of all `sockets`. For the user's thread, except `stop` and `wake`;
    the control thread changes `sockets`."""

    def __init__(
        self,
        intake: Intake,
        limit: int | None,
        check_usable: Callable[[], None],
        settle: Callable[[MutableSequence[Any]], bool],
        next_deadline: Callable[[], float | None],
        poll_busy: Callable[[MutableSequence[Any]], None] | None = None,
    ) -> None:
        """At most ``limit`` events are delivered. ``check_usable`` raises when there is
        no use in waiting. ``settle`` does what is due by ``next_deadline``, and appends
        events that this frees to what it is given; True when there are some, or some may
        have arrived meanwhile. ``poll_busy`` does what cannot wait until all that arrived was
        looked at."""
        self.sockets = SocketSet(self._sockets_changed)
        self.waker: Waker | None = None
        self.stopping = False
        self._intake = intake
        self._limit = limit
        self._check_usable = check_usable
        self._settle = settle
        self._next_deadline = next_deadline
        self._poll_busy = poll_busy
        self._sampler = LatencySampler()
        # The burst that is being delivered, and how many events were in all bursts.
        self._burst: Iterator[Event] = iter(())
        self._taken = 0
        # Events that arrived while something else was waited for.
        self.kept: deque[Item] = deque()
        self._poller: select.poll | None = None
        self._watched: dict[int, Inlet] = {}
        # All sockets were empty a moment ago, so their descriptors tell of what comes.
        self._empty_now = False
        # Besides, there is nothing to be done at some time, and nobody has woken us.
        self._quiet = False
        # All frames come by this inlet, if there is one; and the user's thread waits in it,
        # or is about to.
        self._sole: Inlet | None = None
        self._waits_in: Inlet | None = None
        # A new one each time that somebody wakes us, and the one that we know of.
        self._call = self._known_call = object()
        self._stop_at = 0.0

    # For any thread

    def stop(self) -> None:
        """End waits soon; what has arrived until then is still delivered, as far as it
        can be within a second."""
        if not self.stopping:
            self._stop_at = time.monotonic() + _STOP_S
            self.stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the receiving thread look at everything anew."""
        # Either it sees this before it waits in a socket, or we see that it waits there.
        self._call = object()
        inlet = self._waits_in
        if inlet is not None:
            inlet.ring()
        waker = self.waker  # which another thread may take away
        if waker is not None:
            waker.wake()

    def _sockets_changed(self) -> None:
        """Have the receiving thread watch the sockets anew."""
        self._poller = None
        self.wake()

    # For the user's thread

    @property
    def event_count(self) -> int:
        """How many events were delivered."""
        return self._taken - length_hint(self._burst)

    def latency(self) -> Latency | None:
        """The latency of what was received since it was asked for last; None without
        any. For the control thread."""
        return self._sampler.summary(self._taken)

    def undelivered(self) -> int:
        """How many events were decoded, and come next."""
        kept = sum(len(item) if isinstance(item, Batch) else 1 for item in self.kept)
        return kept + length_hint(self._burst)

    def bursts(self) -> Iterator[Iterator[Event]]:
        """Bursts, until there will be no more events."""
        while self._next_burst(None):
            yield self._burst
            if (
                self._quiet
                and not self.kept
                and self._sole is not None
                and self._sole.fit_bell()
            ):
                # Its descriptor tells nothing of what comes from here on.
                self._quiet = self._empty_now = False
                yield from self._bursts_from(self._sole)

    def receive(self, deadline: float | None) -> Event | None:
        """The next event; None when there will be none, or not before the deadline."""
        event = next(self._burst, None)
        if event is None and self._next_burst(deadline):
            event = next(self._burst)
        return event

    def arrived(self, topic: str) -> Event | None:
        """The next event that has arrived, of ``topic`` if one is named, without
        waiting; None when there is none. Events of other topics stay for later."""
        self._put_back()
        searched = 0
        while True:
            for index in range(searched, len(self.kept)):
                item = self.kept[index]
                if topic in ("", item.topic):
                    del self.kept[index]
                    self._taken += 1
                    if isinstance(item, Batch):
                        item, *rest = item
                        for later in reversed(rest):
                            self.kept.insert(index, later)
                    if self._taken > self._sampler.due:
                        self._sampler.take([item], self._taken)
                    return item
            searched = len(self.kept)
            if not self.fetch(self.kept):
                return None

    def burst(self) -> Iterator[Event] | None:
        """The burst that is next, without waiting; None when nothing has arrived."""
        return self._burst if self._next_burst(0.0) else None

    def batches(self) -> Iterator[Batch]:
        """Batches, until there will be no more events."""
        while (batch := self.next_batch(None)) is not None:
            yield batch

    def next_batch(self, deadline: float | None) -> Batch | None:
        """The next batch; None when there will be none, or not before the deadline."""
        self._put_back()
        while not self.kept and self._wanted():
            if (
                self._may_wait(deadline) or not self.fetch(self.kept, batches=True)
            ) and not self._wait_on(deadline, self.kept, batches=True):
                return None
        wanted = self._wanted()
        if not wanted:
            return None
        item = self.kept.popleft()
        batch = item if isinstance(item, Batch) else Batch.of(item)
        if len(batch) > wanted:
            events = list(batch)
            self.kept.extendleft(reversed(events[wanted:]))
            batch = batch.first(wanted)
        self._taken += len(batch)
        if self._taken > self._sampler.due:
            self._sampler.take(batch, self._taken)
        return batch

    @property
    def ended(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.stopping or not self._wanted()

    def _wanted(self) -> int:
        """How many events are still to be delivered."""
        if self._limit is None:
            return sys.maxsize
        return max(0, self._limit - self.event_count)

    def _next_burst(self, deadline: float | None) -> bool:
        """Wait until `_burst` has events; False when there will be none: the limit is
        reached, `stop` was called, or the deadline has passed."""
        while not length_hint(self._burst):
            wanted = self._wanted()
            if not wanted:
                return False
            events: list[Event] = []
            try:
                # Nearly always, unless there is much to do.
                if self._quiet and deadline is None and not self.kept:
                    self._poll(None, events)
                elif not self._gather(events, wanted, deadline):
                    return False
            except BaseException:  # what has arrived is not lost with it
                self.kept.extend(events)
                raise
            if not events:
                continue
            self._deliver(events, wanted)
        return True

    def _deliver(self, events: list[Event], wanted: int) -> None:
        """Make a burst of events, as many as are wanted; the others are kept."""
        if len(events) > wanted:
            self.kept.extendleft(reversed(events[wanted:]))
            del events[wanted:]
        self._burst = iter(events)
        self._taken += len(events)
        if self._taken > self._sampler.due:
            self._sampler.take(events, self._taken)

    def _bursts_from(self, inlet: Inlet) -> Iterator[Iterator[Event]]:
        """Bursts by who waits in the socket, until something unusual comes. Few steps:
        each runs with cold caches, once for every event."""
        self._waits_in = inlet
        sampler, limit = self._sampler, self._limit
        last_ns = streak = 0
        try:
            if self._call is not self._known_call or not self._wanted():
                return
            for events in self._intake.stream(inlet):
                received_ns = events[0].received_ns
                if len(events) > 1:
                    self._deliver(events, self._wanted())
                else:
                    self._burst = iter(events)
                    self._taken += 1
                    if self._taken > sampler.due:
                        sampler.take(events, self._taken)
                yield self._burst
                streak = streak + 1 if received_ns - last_ns < _STREAM_NS else 0
                last_ns = received_ns
                if (
                    self._waits_in is not inlet  # something else was done meanwhile
                    or streak >= _STREAM
                    or (limit is not None and self._taken >= limit)
                ):
                    return
        finally:
            self._waits_in = None

    def _gather(self, events: list[Event], wanted: int, deadline: float | None) -> bool:
        """Append what has arrived to ``events``, or wait once for something to happen;
        False when nothing is to be waited for."""
        if self.kept:
            self._take_kept(events, wanted)
            return True
        if not self._may_wait(deadline) and self.fetch(events):
            return True
        return self._wait_on(deadline, events)

    def _may_wait(self, deadline: float | None) -> bool:
        """Whether there is no need to look at the sockets before waiting for them. Who
        would not wait (any more) must look."""
        return self._empty_now and deadline is None and not self.stopping

    def _take_kept(self, events: list[Event], wanted: int) -> None:
        """Move kept events to ``events``, about as many as are wanted."""
        while self.kept and len(events) < min(wanted, BURST):
            item = self.kept.popleft()
            if isinstance(item, Batch):
                events.extend(item)
            else:
                events.append(item)

    def _put_back(self) -> None:
        """End the burst; what is left of it is kept."""
        rest = [*self._burst]
        self._taken -= len(rest)
        self.kept.extendleft(reversed(rest))

    def _wait_on(
        self,
        deadline: float | None,
        items: MutableSequence[Any],
        *,
        batches: bool = False,
    ) -> bool:
        """Wait for something to happen; False when nothing is to be waited for."""
        if self.stopping:
            return False
        if deadline is not None and time.monotonic() >= deadline:
            self._check_usable()
            return False
        self.wait(deadline, items, batches=batches)
        return True

    def fetch(self, items: MutableSequence[Any], *, batches: bool = False) -> bool:
        """Append the events that wait at the sockets, about a burst, to ``items``; False
        when nothing waits. They are whole batches only if ``batches`` says so."""
        self._quiet = False
        self._waits_in = None
        if self.waker is None or (self.stopping and time.monotonic() >= self._stop_at):
            return False
        intake, sockets = self._intake, self.sockets
        while sockets.retired:
            self._empty(sockets.retired.pop(), items, batches=batches)
        waited = intake.held is not None
        before = len(items)
        if self._poll_busy is not None:
            self._poll_busy(items)
        empty = True
        inlets = sockets.open
        several = len(inlets) > 1
        for inlet in inlets:
            if intake.held is not None:
                if len(items) > before:
                    return True  # those before it are delivered first
                intake.take_held(items)
            if several and not inlet.waits():
                continue  # hundreds may be empty, and to find out by `take` costs more
            empty &= intake.take(inlet, items, batches)
        self._empty_now = empty
        # What was looked at need not have been an event, and more may wait behind it.
        return waited or not empty or len(items) > before

    def _empty(
        self, inlet: Inlet, items: MutableSequence[Any], *, batches: bool
    ) -> None:
        """Take all that an inlet still has, and close it."""
        intake = self._intake
        while True:
            intake.take_held(items)
            before = len(items)
            intake.take(inlet, items, batches)
            if len(items) == before and intake.held is None:
                break
        inlet.close(0)
        self._poller = None

    def wait(
        self,
        deadline: float | None,
        items: MutableSequence[Any],
        *,
        batches: bool = False,
    ) -> None:
        """Wait for frames, for something to settle, or for the deadline; the events that
        come are appended to ``items``."""
        self._check_usable()
        self._empty_now = self._quiet = False
        self._known_call = self._call
        waker = self.waker
        assert waker is not None, "usable means configured"
        if self._poller is None:
            self._watch(waker)
            # A frame may have come before the descriptor was watched.
            if self.fetch(items, batches=batches):
                return
            self._empty_now = False
        settle_at = self._next_deadline()
        if settle_at is not None and self._settle(self.kept):
            return
        self._quiet = settle_at is None
        self._poll(_timeout_ms(deadline, settle_at), items, batches)

    def _poll(
        self,
        timeout_ms: float | None,
        items: MutableSequence[Any],
        batches: bool = False,
    ) -> None:
        """Wait for the descriptors, and append the events that come to ``items``. The
        shortest way from there to the socket: it is part of every latency."""
        poller, waker, intake = self._poller, self.waker, self._intake
        # Should this be cut short, the sockets must be looked at.
        quiet, self._quiet, self._empty_now = self._quiet, False, False
        if poller is None or waker is None:  # another thread has just seen to that
            return
        empty = True
        for fd, _ in poller.poll(timeout_ms):
            inlet = self._watched.get(fd)
            if inlet is None:
                waker.clear()
                empty = False  # whatever it was about
            elif intake.held is not None or self.waker is None:
                empty = False  # or it was disconnected meanwhile
            else:
                empty &= intake.take(inlet, items, batches)
        self._empty_now = empty
        self._quiet = quiet and empty

    def _watch(self, waker: Waker) -> None:
        """Make a poller of all sockets."""
        poller = self._poller = select.poll()
        poller.register(waker.fd, select.POLLIN)
        self._watched = {inlet.fd: inlet for inlet in self.sockets.open}
        for fd in self._watched:
            poller.register(fd, select.POLLIN)
        inlets = tuple(self._watched.values())
        self._sole = inlets[0] if len(inlets) == 1 else None


def _timeout_ms(*deadlines: float | None) -> float | None:
    """Until the first of the deadlines, rounded up; None without any."""
    due = [at for at in deadlines if at is not None]
    if not due:
        return None
    return min(max(0.0, min(due) - time.monotonic()), _MAX_POLL_S) * 1000 + 0.5
