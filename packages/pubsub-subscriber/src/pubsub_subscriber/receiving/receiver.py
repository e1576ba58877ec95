"""Delivers the events of all sockets to the user's thread.

Theory of operation
-------------------
Frames come from the sockets (`pubsub_subscriber.receiving.socket_poller`), are decoded in bursts
(`pubsub_subscriber.receiving.fast_path`) into a queue (`pubsub_subscriber.receiving.event_queue`),
and leave that one by one here. `pubsub_subscriber.receiving.turns` says who may do what when.

An exception of a signal handler, or of a tracer, may come anywhere in this, in the main thread.
It loses no event and delivers none twice: each event is in the socket, in the buffer, in the
queue, or was returned.

To drop or change delivered events, use ``accept`` (see `Receiver`). Every event passes it in the
step that makes it ready for delivery, whatever path it took before: usual, in a batch, recovered,
held, or taken out of a socket that is about to be closed. The steps before that must not drop
events.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Final

from pubsub_common.net.waker import Waker
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Latency
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.turns import Turns

# How long `close` waits for a thread that receives.
_CLOSE_S: Final = 1.0


class Receiver:
    """Delivers events of all sockets of ``performer``. One thread at a time receives."""

    def __init__(
        self,
        performer: Performer,
        now_ns: Callable[[], int],
        limit: int | None,
        check_usable: Callable[[], None],
        accept: Callable[[Event], bool] | None = None,
    ) -> None:
        """At most ``limit`` events are delivered. ``now_ns`` stamps them. ``check_usable`` raises
        when there is no use in waiting.

        ``accept`` is asked about each event right before it is made ready for delivery, in the
        user's thread: an event for which it is False is not delivered and not counted in
        ``limit``. It may change the event. It may be asked again about an event that it
        accepted but that was not yet wanted. None: all events are delivered. `dropped_count` is
        how many were not accepted; `Subscriber.counts` counts them as received, since they did
        arrive."""
        self.sockets = performer.sockets
        self.performer = performer
        self._queue = EventQueue(limit, accept)
        self._fast_path = FastPath(performer.core, self._queue, now_ns)
        self._turns = Turns(self._queue, performer, self._fast_path, check_usable)
        self.sockets.receiving = self
        # In any thread: how many events were decoded and come next, whether the calling thread is
        # inside a receive call (what calls is a signal handler, or the garbage collector did),
        # and when to receive again although nothing has arrived.
        self.buffered_count = self._queue.count
        self.is_inside = self._turns.is_inside
        self.due_at = self._turns.cold.due_at
        # Receptions that are under way end, others raise.
        self.end = self._turns.end
        # For a thread that waits for something else than events; what comes is buffered.
        self.fetch = self._turns.fetch
        self.wait = self._turns.wait
        # Whether so much is buffered that no more is to come.
        self.is_full = self._turns.is_full

    # Set-up and end

    @property
    def waker(self) -> Waker | None:
        """Its descriptor is readable when everything is to be looked at anew. None before
        `open` and after `close`."""
        return self._turns.poller.waker

    def open(self) -> None:
        """Get ready to receive."""
        self._turns.poller.waker = Waker()

    def close(self) -> None:
        """End the receive calls of other threads, and close all sockets; what they hold is
        lost. Again: does nothing. Must not be cut short, and must not be called inside a
        receive call (`is_inside`)."""
        self._turns.close(self._close, _CLOSE_S)

    def _close(self) -> None:
        self.sockets.close_all()
        poller = self._turns.poller
        waker, poller.waker = poller.waker, None
        if waker is not None:
            waker.close()

    def cut_off(self) -> None:
        """In a forked child: nothing is delivered any more, and no socket touched. Takes no
        lock."""
        self._turns.closed = True
        self._turns.poller.cut_off = True
        self._queue.empty()

    # For any thread

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._turns.stopping

    def stop(self) -> None:
        """End waits soon; what has arrived until then is still delivered, as far as it
        can be within a second."""
        self._turns.stop()

    def wake(self) -> None:
        """Have the receiving thread look at everything anew."""
        self._turns.poller.wake()

    def latency(self) -> Latency | None:
        """The latency of what was received since it was asked for last; None without
        any. For the control thread."""
        return self._queue.sampler.summary(self._queue.taken)

    @property
    def event_count(self) -> int:
        """How many events were delivered."""
        return self._queue.event_count

    @property
    def dropped_count(self) -> int:
        """How many events ``accept`` did not accept."""
        return self._queue.dropped_count

    @property
    def ended(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._turns.stopping or not self._queue.wanted()

    # For the user's thread. Nothing may follow the step in which an event leaves the queue.

    def bursts(self, owner: object = None) -> Iterator[Iterator[Event]]:
        """Bursts, until there will be no more events, or `end`. Whoever goes through them
        keeps the ``owner`` of this receiver from being dropped."""
        turns, queue = self._turns, self._queue
        turns.begin()
        while turns.advance(queue.start_burst, None, under_way=True):
            yield queue.burst
            if turns.enter_socket():
                yield from turns.bursts_in_socket()

    def receive(self, deadline: float | None) -> Event | None:
        """The next event; None when there will be none, or not before the deadline."""
        while True:
            for event in self._queue.burst: return event  # noqa: E701  # fmt: skip
            if not self._turns.advance(self._queue.start_burst, deadline):
                return None

    def next_arrived(self, topic: str) -> Event | None:
        """The next event that has arrived, of ``topic`` if one is named, without
        waiting; None when there is none. Events of other topics stay for later; when they
        are too many, nothing more is taken in."""
        pick = functools.partial(self._queue.start_burst_of, topic)
        while self._turns.advance(pick, 0.0, limited=False):
            for event in self._queue.burst: return event  # noqa: E701  # fmt: skip
        return None

    def burst(self) -> Iterator[Event] | None:
        """The burst that is next, without waiting; None when nothing has arrived."""
        ready = self._turns.advance(self._queue.start_burst, 0.0)
        return self._queue.burst if ready else None

    def batches(self, owner: object = None) -> Iterator[Batch]:
        """Batches, as `bursts`."""
        turns, queue = self._turns, self._queue
        turns.begin()
        while turns.advance(queue.start_batch, None, batches=True, under_way=True):
            yield from queue.ready

    def next_batch(self, deadline: float | None) -> Batch | None:
        """The next batch; None when there will be none, or not before the deadline."""
        while True:
            for batch in self._queue.ready: return batch  # noqa: E701  # fmt: skip
            if not self._turns.advance(self._queue.start_batch, deadline, batches=True):
                return None
