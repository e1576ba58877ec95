"""Delivers the events of all sockets to the user's thread.

Theory of operation
-------------------

Frames come from the sockets (`pubsub_subscriber.receiving.socket_poller`), are decoded in
bursts (`pubsub_subscriber.receiving.fast_path`) into a queue
(`pubsub_subscriber.receiving.event_queue`), and leave the queue one by one here.
`pubsub_subscriber.receiving.turns` decides which thread may do which step.

In the main thread, an exception of a signal handler or of a tracer may come anywhere in this.
It loses no event and delivers none twice: each event is in the socket, in the buffer, in the
queue, or was returned.

To drop or change delivered events, use ``accept`` (see `Receiver`). Every event passes it in
the step that makes it ready for delivery, on all paths: usual, in a batch, recovered, held,
or taken out of a socket that is about to be closed. The steps before that must not drop
events.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from operator import length_hint
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
        *,
        views: bool = False,
    ) -> None:
        """At most ``limit`` events are delivered. ``now_ns`` returns their time stamp.
        ``check_usable`` raises if a wait would be useless.

        ``accept`` is called with each event right before it is made ready for delivery, in
        the user's thread: if it returns False, the event is not delivered and does not count
        in ``limit``. It may change the event. It may be called again with an event that it
        accepted but that was not wanted yet. None: all events are delivered. `dropped_count`
        is the number of events that were not accepted; `Subscriber.counts` counts them as
        received, because they did arrive. With ``views`` all payloads are memoryviews.
        """
        self.sockets = performer.sockets
        self.performer = performer
        self.queue = EventQueue(limit, accept, views=views)
        self._fast_path = FastPath(performer.core, self.queue, now_ns)
        self._turns = Turns(self.queue, performer, self._fast_path, check_usable)
        self.sockets.receiving = self
        # For any thread: the number of decoded events that come next, whether the calling thread
        # is inside a receive call (the caller is then a signal handler or a finalizer), and when
        # to receive again although nothing has arrived.
        self.buffered_count = self.queue.count
        self.is_inside = self._turns.is_inside
        self.due_at = self._turns.cold.due_at
        # For the control thread.
        self.end_late_wait = self._turns.socket_wait.end_late
        # Running receptions end, new ones raise.
        self.end = self._turns.end
        # For a thread that does not wait for events: they are buffered.
        self.fetch = self._turns.fetch
        self.wait = self._turns.wait
        # For a thread that watches the descriptors and finds it `drained`.
        self.take_arrived = self._turns.take_arrived
        # Whether so much is buffered that nothing more is received.
        self.is_full = self._turns.is_full

    # Set-up and end

    @property
    def waker(self) -> Waker | None:
        """Its descriptor is readable when everything must be checked again. None before
        `open` and after `close`."""
        return self._turns.poller.waker

    def open(self, call_control: Callable[[], None] = lambda: None) -> None:
        """Prepare to receive. ``call_control`` makes the control thread call `end_late_wait`
        soon."""
        self._turns.poller.waker = Waker()
        self._turns.socket_wait.call_control = call_control

    def close(self) -> None:
        """End the receive calls of other threads, and close all sockets; their messages are
        lost. Again, this does nothing. Must not be interrupted, and must not be called
        inside a receive call (`is_inside`)."""
        self._turns.close(self._close, _CLOSE_S)

    def _close(self) -> None:
        self.sockets.close_all()
        poller = self._turns.poller
        waker, poller.waker = poller.waker, None
        if waker is not None:
            waker.close()

    def cut_off(self) -> None:
        """In a forked child: deliver nothing more, and use no socket. Takes no lock."""
        self._turns.closed = True
        self._turns.poller.cut_off = True
        self.queue.empty()

    # For any thread

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._turns.stopping

    def stop(self) -> None:
        """Make waits end soon. Events that have arrived are still delivered, for at most a
        second."""
        self._turns.stop()

    def wake(self) -> None:
        """Make the receiving thread check everything again."""
        self._turns.poller.wake()

    def latency(self) -> Latency | None:
        """The latency of the events since the last call; None if there were none. For the
        control thread."""
        return self.queue.sampler.summary(self.queue.taken)

    @property
    def event_count(self) -> int:
        """Number of delivered events."""
        return self.queue.event_count

    @property
    def dropped_count(self) -> int:
        """Number of events that ``accept`` did not accept."""
        return self.queue.dropped_count

    @property
    def ended(self) -> bool:
        """Whether no more events will come."""
        return self._turns.stopping or not self.queue.wanted()

    # For the user's thread. Nothing may follow the step in which an event leaves the queue.

    def bursts(self, owner: object = None) -> Iterator[Iterator[Event]]:
        """Bursts, until there will be no more events, or `end`. The iterator keeps ``owner``
        alive."""
        turns, queue = self._turns, self.queue
        turns.begin()
        while turns.advance(queue.start_burst, None, under_way=True):
            yield queue.burst
            while turns.next_in_socket(None):
                yield queue.burst

    def receive(self, deadline: float | None) -> Event | None:
        """The next event; None if there will be none, or none before the deadline."""
        queue, turns = self.queue, self._turns
        while True:
            for event in queue.burst: return event  # noqa: E701  # fmt: skip
            if turns.next_in_socket(deadline):
                continue
            if not turns.advance(queue.start_burst, deadline):
                return None

    def next_arrived(self, topic: str) -> Event | None:
        """The next event that has arrived, of ``topic`` if it is not empty, without waiting;
        None if there is none. Events of other topics are kept for later; while they are
        too many, nothing more is received."""
        pick = functools.partial(self.queue.start_burst_of, topic)
        while self._turns.advance(pick, 0.0, limited=False):
            for event in self.queue.burst: return event  # noqa: E701  # fmt: skip
        return None

    def burst(self) -> Iterator[Event] | None:
        """The next burst, without waiting; None if nothing has arrived."""
        queue, turns = self.queue, self._turns
        if not turns.closed and length_hint(queue.burst):
            return queue.burst  # of `take_arrived`
        return queue.burst if turns.advance(queue.start_burst, 0.0) else None

    @property
    def drained(self) -> bool:
        """For a thread that watches the descriptors: whether there is nothing to do but to wait
        for them. They signal everything that has come since."""
        turns, fast_path = self._turns, self._fast_path
        return turns.poller.empty_now and not (
            self.queue.waits()
            or turns.stopping
            or turns.closed
            or fast_path.deferred is not None
            or fast_path.in_doubt
            or self.performer.due_at is not None
            or self.performer.reports
            or self.sockets.retired
        )

    @property
    def wake_token(self) -> object:
        """Another one after each `wake` or `end`."""
        return self._turns.poller.wake_token

    def check_again(self) -> None:
        """A descriptor may have signalled: it is not `drained`, for now."""
        self._turns.poller.empty_now = False

    def all_taken(self) -> None:
        """Nothing is left at any socket, unless a descriptor signals it."""
        self._turns.poller.empty_now = True

    def batches(self, owner: object = None) -> Iterator[Batch]:
        """Batches, as `bursts`."""
        turns, queue = self._turns, self.queue
        turns.begin()
        while turns.advance(queue.start_batch, None, batches=True, under_way=True):
            yield from queue.ready

    def next_batch(self, deadline: float | None) -> Batch | None:
        """The next batch; None if there will be none, or none before the deadline."""
        while True:
            for batch in self.queue.ready: return batch  # noqa: E701  # fmt: skip
            if not self._turns.advance(self.queue.start_batch, deadline, batches=True):
                return None
