"""Delivers the events of all sockets to the user's thread.

Theory of operation
-------------------
Sockets are drained without waiting, and their file descriptors polled when they are
empty. The control thread connects the sockets to publishers, and wakes this one when that
may have swallowed the news of an event (`pubsub_common.net.sockets`).

Where all events come by one socket, and wake-ups bring one event each, most of an event's
cost is the way from the descriptor to the socket. Then this thread waits in the socket
itself, with its lock, until it is interrupted (`SubSocket.interrupt`), or the slow path has to
take a frame.

Events come from the sockets in bursts (`pubsub_subscriber.receiving.fast_path`). A burst is a list
iterator, which a ``for`` loop goes through without a call per event; after the loop is
left, the rest is still in it, so nothing received is lost on the way to the user. What arrives
while something else is waited for is buffered for later.

To drop or change delivered events, use ``accept`` (see `Receiver`). Every event passes it in the
step that delivers it, whatever path it took before: usual, in a batch, recovered, held, or taken
out of a socket that is about to be closed. The steps before that must not drop events.
"""

from __future__ import annotations

import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableSequence
from operator import length_hint
from typing import Any, Final

from pubsub_common.net.waker import Waker
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Latency
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.measurement.latency_sampler import LatencySampler
from pubsub_subscriber.receiving.fast_path import BURST, FastPath, Item
from pubsub_subscriber.receiving.performer import Performer

# How long after `stop` frames are still taken from the sockets: without a limit, a
# publisher that is faster than this subscriber would keep it from ending.
_STOP_S: Final = 1.0
_MAX_POLL_S: Final = 3600.0
# After so many messages less than that apart, switch from one-at-a-time to burst receive.
# Fewer may have come in one burst, and one-at-a-time goes on.
_BURST_AFTER: Final = 16
_BURST_GAP_NS: Final = 20_000


class Receiver:
    """Delivers events of all `sockets`. For the user's thread, except `stop` and `wake`;
    the control thread changes `sockets`."""

    def __init__(
        self,
        performer: Performer,
        now_ns: Callable[[], int],
        limit: int | None,
        check_usable: Callable[[], None],
        accept: Callable[[Event], bool] | None = None,
    ) -> None:
        """At most ``limit`` events are delivered. ``check_usable`` raises when there is
        no use in waiting. ``performer`` does what is due at some time.

        ``accept`` is asked about each event right before it is delivered, in the user's
        thread: an event for which it is False is not delivered and not counted in
        ``limit``. It may change the event. It may be asked again about an event that it
        accepted but that was not yet wanted. With it, a batch has one event. None: all
        events are delivered. `dropped_count` is how many were not accepted; `Subscriber.counts`
        counts them as received, since they did arrive."""
        self.sockets = performer.sockets
        self.sockets.receiving = self
        self.waker: Waker | None = None
        self.stopping = False
        self.fast_path = FastPath(performer, now_ns)
        self._limit = limit
        self._check_usable = check_usable
        self.performer = performer
        self._accept = accept
        self.dropped_count = 0  # by `accept`
        self._sampler = LatencySampler()
        # The burst that is being delivered, and how many events were in all bursts.
        self._burst: Iterator[Event] = iter(())
        self._taken = 0
        # Events that arrived while something else was waited for.
        self.buffered: deque[Item] = deque()
        self._poller: select.poll | None = None
        self._watched: dict[int, SubSocket] = {}
        # All sockets were empty a moment ago, so their descriptors tell of what comes.
        self._empty_now = False
        # Besides, there is nothing to be done at some time, and nobody has woken us.
        self._idle = False
        # All frames come by this socket, if there is one; and the user's thread waits in it,
        # or is about to.
        self._only_socket: SubSocket | None = None
        self._waiting_in: SubSocket | None = None
        # A new one each time that somebody wakes us, and the one that we know of.
        self._wake_token = self._seen_wake_token = object()
        self._stop_at = 0.0

    def open(self) -> None:
        """Get ready to receive."""
        self.waker = Waker()

    def close(self) -> None:
        """Close all sockets; what they hold is lost. Again: does nothing."""
        self.sockets.close_all()
        waker, self.waker = self.waker, None
        if waker is not None:
            waker.close()

    def cut_off(self) -> None:
        """In a forked child."""

    def is_inside(self) -> bool:
        """Whether the calling thread is inside a receive call."""
        return False

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
        self._wake_token = object()
        sub_socket = self._waiting_in
        if sub_socket is not None:
            sub_socket.interrupt()
        waker = self.waker  # which another thread may take away
        if waker is not None:
            waker.wake()

    def watch_anew(self) -> None:
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

    def buffered_count(self) -> int:
        """How many events were decoded, and come next."""
        buffered = sum(
            len(item) if isinstance(item, Batch) else 1 for item in self.buffered
        )
        return buffered + length_hint(self._burst)

    def bursts(self) -> Iterator[Iterator[Event]]:
        """Bursts, until there will be no more events."""
        while self._next_burst(None):
            yield self._burst
            if (
                self._idle
                and not self.buffered
                and self._only_socket is not None
                and self._only_socket.enable_interrupt()
            ):
                # Its descriptor tells nothing of what comes from here on.
                self._idle = self._empty_now = False
                yield from self._bursts_from(self._only_socket)

    def receive(self, deadline: float | None) -> Event | None:
        """The next event; None when there will be none, or not before the deadline."""
        event = next(self._burst, None)
        if event is None and self._next_burst(deadline):
            event = next(self._burst)
        return event

    def next_arrived(self, topic: str) -> Event | None:
        """The next event that has arrived, of ``topic`` if one is named, without
        waiting; None when there is none. Events of other topics stay for later."""
        self._return_burst()
        index = 0
        while True:
            while index < len(self.buffered):
                item = self.buffered[index]
                if topic not in ("", item.topic):
                    index += 1
                    continue
                del self.buffered[index]
                if isinstance(item, Batch):
                    item, *rest = item
                    for later in reversed(rest):
                        self.buffered.insert(index, later)
                if self._accept is None or self._accepted([item]):
                    self._count([item])
                    return item
            arrived = self.fetch(self.buffered)
            self.performer.report()
            if not arrived:
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
        self._return_burst()
        while True:
            while not self.buffered and self._wanted():
                if (
                    self._may_wait(deadline)
                    or not self.fetch(self.buffered, batches=True)
                ) and not self._wait_on(deadline, self.buffered, batches=True):
                    self.performer.report()
                    return None
                self.performer.report()
            wanted = self._wanted()
            if not wanted:
                return None
            item = self.buffered.popleft()
            batch = item if isinstance(item, Batch) else Batch.of(item)
            if self._accept is not None:
                accepted = self._accepted(list(batch))
                if not accepted:
                    continue
                self.buffered.extendleft(reversed(accepted[1:]))
                batch = Batch.of(accepted[0])
            if len(batch) > wanted:
                events = list(batch)
                self.buffered.extendleft(reversed(events[wanted:]))
                batch = batch.first(wanted)
            self._count(batch)
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
                if self._idle and deadline is None and not self.buffered:
                    self._poll(None, events)
                else:
                    waiting = self._gather(events, wanted, deadline)
                    self.performer.report()  # a gap, before the event behind it
                    if not waiting:
                        return False
            except BaseException:  # what has arrived is not lost with it
                self.buffered.extend(events)
                raise
            if not events:
                continue
            self._deliver(events, wanted)
        return True

    def _deliver(self, events: list[Event], wanted: int) -> None:
        """Make a burst of the events that are accepted, as many as are wanted; the others
        are buffered."""
        if self._accept is not None:
            events = self._accepted(events)
        if len(events) > wanted:
            self.buffered.extendleft(reversed(events[wanted:]))
            del events[wanted:]
        self._burst = iter(events)
        self._taken += len(events)
        if self._taken > self._sampler.due:
            self._sampler.take(events, self._taken)

    def _accepted(self, events: list[Event]) -> list[Event]:
        """Those of the events that ``accept`` accepts; the others are dropped."""
        assert self._accept is not None
        accepted = [event for event in events if self._accept(event)]
        self.dropped_count += len(events) - len(accepted)
        return accepted

    def _count(self, events: list[Event] | Batch) -> None:
        """These are delivered."""
        self._taken += len(events)
        if self._taken > self._sampler.due:
            self._sampler.take(events, self._taken)

    def _bursts_from(self, sub_socket: SubSocket) -> Iterator[Iterator[Event]]:
        """Bursts from waiting in the socket, until the slow path has to take a
        frame. Few steps: each runs with cold caches, once for every event."""
        self._waiting_in = sub_socket
        sampler, limit = self._sampler, self._limit
        direct_count = 1 if self._accept is None else 0
        last_ns = streak = 0
        try:
            if self._wake_token is not self._seen_wake_token or not self._wanted():
                return
            for events in self.fast_path.receive_waiting(sub_socket):
                received_ns = events[0].received_ns
                # One event is delivered as `_deliver` does it, but without a call; so every
                # event passes either this place or that one.
                if len(events) > direct_count:
                    self._deliver(events, self._wanted())
                else:
                    self._burst = iter(events)
                    self._taken += 1
                    if self._taken > sampler.due:
                        sampler.take(events, self._taken)
                yield self._burst
                streak = streak + 1 if received_ns - last_ns < _BURST_GAP_NS else 0
                last_ns = received_ns
                if (
                    self._waiting_in
                    is not sub_socket  # something else was done meanwhile
                    or streak >= _BURST_AFTER
                    or (limit is not None and self._taken >= limit)
                ):
                    return
        finally:
            self._waiting_in = None

    def _gather(self, events: list[Event], wanted: int, deadline: float | None) -> bool:
        """Append what has arrived to ``events``, or wait once for something to happen;
        False when nothing is to be waited for."""
        if self.buffered:
            self._take_buffered(events, wanted)
            return True
        if not self._may_wait(deadline) and self.fetch(events):
            return True
        return self._wait_on(deadline, events)

    def _may_wait(self, deadline: float | None) -> bool:
        """Whether there is no need to look at the sockets before waiting for them. Who
        would not wait (any more) must look."""
        return self._empty_now and deadline is None and not self.stopping

    def _take_buffered(self, events: list[Event], wanted: int) -> None:
        """Move buffered events to ``events``, about as many as are wanted."""
        while self.buffered and len(events) < min(wanted, BURST):
            item = self.buffered.popleft()
            if isinstance(item, Batch):
                events.extend(item)
            else:
                events.append(item)

    def _return_burst(self) -> None:
        """End the burst; what is left of it is buffered."""
        rest = [*self._burst]
        self._taken -= len(rest)
        self.buffered.extendleft(reversed(rest))

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

    def fetch(
        self, items: MutableSequence[Any] | None = None, *, batches: bool = False
    ) -> bool:
        """Append the events that wait at the sockets, about a burst, to ``items``; False
        when nothing waits. They are whole batches only if ``batches`` says so."""
        if items is None:
            items = self.buffered
        self._idle = False
        self._waiting_in = None
        if self.waker is None or (self.stopping and time.monotonic() >= self._stop_at):
            return False
        fast_path, sockets = self.fast_path, self.sockets
        before = len(items)
        while sockets.retired:
            self._drain_and_close(sockets.retired.pop(), items, batches=batches)
        waited = fast_path.deferred is not None
        self.performer.tick(items, idle=False)
        empty = True
        sub_sockets = sockets.open
        several = len(sub_sockets) > 1
        for sub_socket in sub_sockets:
            if fast_path.deferred is not None:
                if len(items) > before:
                    return True  # those before it are delivered first
                fast_path.take_deferred(items)
            if several and not sub_socket.waits():
                continue  # hundreds may be empty, and to find out by `take` costs more
            empty &= fast_path.take(sub_socket, items, batches)
        self._empty_now = empty
        if (
            empty
            and fast_path.deferred is None
            and self.performer.tick(items, idle=True)
        ):
            self._empty_now = False
            return True
        # What was looked at need not have been an event, and more may wait behind it.
        return waited or not empty or len(items) > before

    def _drain_and_close(
        self, sub_socket: SubSocket, items: MutableSequence[Any], *, batches: bool
    ) -> None:
        """Take all that a socket still has, and close it."""
        fast_path = self.fast_path
        empty = False
        while not empty or fast_path.deferred is not None:
            fast_path.take_deferred(items)
            empty = fast_path.take(sub_socket, items, batches)
        sub_socket.close(0)
        self._poller = None

    def wait(
        self,
        deadline: float | None,
        items: MutableSequence[Any] | None = None,
        *,
        batches: bool = False,
    ) -> None:
        """Wait for frames, for something to become due, or for the deadline; the events that
        come are appended to ``items``."""
        if items is None:
            items = self.buffered
        self._check_usable()
        self._empty_now = self._idle = False
        self._seen_wake_token = self._wake_token
        waker = self.waker
        assert waker is not None, "usable means configured"
        if self._poller is None:
            self._watch(waker)
            # A frame may have come before the descriptor was watched.
            if self.fetch(items, batches=batches):
                return
            self._empty_now = False
        if self.performer.tick(self.buffered, idle=True):
            return
        due_at = self.performer.due_at
        self._idle = due_at is None
        self._poll(_timeout_ms(deadline, due_at), items, batches)

    def _poll(
        self,
        timeout_ms: float | None,
        items: MutableSequence[Any],
        batches: bool = False,
    ) -> None:
        """Wait for the descriptors, and append the events that come to ``items``. The
        shortest way from there to the socket: it is part of every latency."""
        poller, waker, fast_path = self._poller, self.waker, self.fast_path
        # Should this be cut short, the sockets must be looked at.
        quiet, self._idle, self._empty_now = self._idle, False, False
        if poller is None or waker is None:  # another thread has just seen to that
            return
        empty = True
        for fd, _ in poller.poll(timeout_ms):
            sub_socket = self._watched.get(fd)
            if sub_socket is None:
                waker.clear()
                empty = False  # whatever it was about
            elif fast_path.deferred is not None or self.waker is None:
                empty = False  # or it was disconnected meanwhile
            else:
                empty &= fast_path.take(sub_socket, items, batches)
        self._empty_now = empty
        self._idle = quiet and empty

    def _watch(self, waker: Waker) -> None:
        """Make a poller of all sockets."""
        poller = self._poller = select.poll()
        poller.register(waker.fd, select.POLLIN)
        self._watched = {sub_socket.fd: sub_socket for sub_socket in self.sockets.open}
        for fd in self._watched:
            poller.register(fd, select.POLLIN)
        sub_sockets = tuple(self._watched.values())
        self._only_socket = sub_sockets[0] if len(sub_sockets) == 1 else None


def _timeout_ms(*deadlines: float | None) -> float | None:
    """Until the first of the deadlines, rounded up; None without any."""
    due = [at for at in deadlines if at is not None]
    if not due:
        return None
    return min(max(0.0, min(due) - time.monotonic()), _MAX_POLL_S) * 1000 + 0.5
