"""The subscriber class for asyncio.

Theory of operation
-------------------
It wraps the synchronous subscriber and does what that one does, except that the event loop
waits in its place (`pubsub_subscriber.receiving.asyncio_watcher`). What must be done by a
certain time, like finishing departed publishers and requests, ends a wait by a timer.

An event is taken in the step of the loop that delivers it. So a task that is cancelled while
it waits has none in hand, and the next call gets it. The burst that a task goes through stays
the receiver's: the next call finds the rest.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from operator import length_hint
from typing import Any, Final, TypeVar

from pubsub_common.client.aio import (
    EVENTS_PER_YIELD,
    Asynchronous,
    run_to_completion,
    with_arguments_of,
)
from pubsub_common.errors import PubSubError
from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.sequence import Counts
from pubsub_subscriber.receiving.asyncio_watcher import AsyncioWatcher
from pubsub_subscriber.subscriber import Subscriber as SyncSubscriber

_MAX_WAIT_S: Final = 3600.0

_T = TypeVar("_T")


class Subscriber(Asynchronous[SyncSubscriber]):
    """`pubsub_subscriber.Subscriber` for asyncio: the same arguments, and the same
    methods as coroutines.

    Use ``async with``, or `configure`, receive, `disconnect`. All methods belong to the
    event loop in which `configure` was called, except `stop`. Several tasks may receive;
    each event goes to one of them.
    """

    @with_arguments_of(SyncSubscriber)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inner = SyncSubscriber(*args, **kwargs)
        self._receiver = self._inner._receiver
        self._watcher = AsyncioWatcher(self._receiver)
        self._leaving = False

    # Set-up and end

    async def configure(self) -> None:
        """Register with the broker and connect to it or to the publishers. Raises what
        the synchronous one does."""
        await super().configure()
        try:
            self._watcher.start()
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Leave the system, telling the broker. Again: does nothing."""
        if self._leaving:
            return
        self._leaving = True  # a thread has the sockets now
        try:
            self._watcher.stop()
            await super().disconnect()
        finally:
            self._leaving = False

    # Receiving

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Events as they arrive, until ``max_event_count`` or, when ``indefinite``,
        until `stop`.

        Raises:
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        receiver = self._receiver
        while True:
            if self._since_yield >= EVENTS_PER_YIELD:
                await self._yield_to_loop()
            burst = self._take_without_waiting(receiver.burst)
            if burst is not None:
                self._since_yield += min(length_hint(burst), EVENTS_PER_YIELD)
                for event in islice(burst, EVENTS_PER_YIELD):
                    yield event
            elif not await self._wait(None):
                return

    async def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event, waiting for it; None after ``timeout_s`` seconds, after
        `stop`, or when ``max_event_count`` events have been received.

        Raises:
            PubSubError: as iteration does.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self._since_yield >= EVENTS_PER_YIELD:
            await self._yield_to_loop()
        self._since_yield += 1
        while (burst := self._take_without_waiting(self._receiver.burst)) is None:
            if not await self._wait(deadline):
                return None
        return next(burst)

    async def batches(self) -> AsyncIterator[Batch]:
        """Events as iteration gives them, but those that were published together
        together. An event that came alone is a batch of one."""
        while True:
            if self._since_yield >= EVENTS_PER_YIELD:
                await self._yield_to_loop()
            batch = self._take_without_waiting(lambda: self._receiver.next_batch(0.0))
            if batch is not None:
                self._since_yield += len(batch)
                yield batch
            elif not await self._wait(None):
                return

    async def notify(self) -> None:
        """Receive events until there are ``max_event_count``, or until `stop`; write
        their latencies to ``filename`` at the end, whatever ended it. Raises what the
        synchronous one does."""
        inner = self._inner
        try:
            async for event in self:
                if inner.filename is not None:
                    inner._recorder.add(event)
                inner.latencies.add(event.latency_ns)
                if inner._on_event is not None:
                    inner._on_event(event)
        finally:
            await run_to_completion(inner.write_stored_messages)

    async def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Wait until every publisher of our topics that the broker knows has answered:
        all it publishes from here on arrives. Events that arrive meanwhile are buffered.

        Raises:
            NotReady: some had not answered after ``timeout_s`` seconds, or `stop`
                was called.
            PubSubError: as iteration does.
        """
        self._check_ours()
        for until in self._inner._ready_steps(timeout_s):
            if until is None:
                self._watcher.wake_all()  # what was buffered is theirs
                await self._yield_to_loop()
            else:
                await self._pause(until)
            self._check_ours()

    def counts(self) -> Counts:
        """How many events were received, lost, duplicated and reordered so far."""
        return self._inner.counts()

    @property
    def event_count(self) -> int:
        """How many events were delivered."""
        return self._inner.event_count

    @property
    def malformed_count(self) -> int:
        """How many messages were not events."""
        return self._inner.malformed_count

    @property
    def latencies(self) -> LatencyHistogram:
        """Of the events that `notify` has received."""
        return self._inner.latencies

    # Inside

    def _check_ours(self) -> None:
        if self._leaving:
            raise PubSubError("this subscriber is disconnecting")

    def _take_without_waiting(self, take: Callable[[], _T | None]) -> _T | None:
        """What ``take`` takes from the sockets without waiting."""
        if self._leaving and self._receiver.stopping:
            return None
        self._check_ours()
        found = take()
        if found is not None:
            self._watcher.wake_all()  # others may wait for what is left
        return found

    async def _wait(self, deadline: float | None) -> bool:
        """Wait for something to happen, after all that has arrived was looked at in this
        step of the loop; False when nothing is to be waited for."""
        late = deadline is not None and time.monotonic() >= deadline
        if late or self._receiver.ended:
            return False
        await self._pause(deadline)
        return True

    async def _pause(self, deadline: float | None) -> None:
        """Wait for frames, for something to become due, or for the deadline."""
        self._inner._check_usable()
        performer = self._inner._performer
        if performer.tick(self._receiver.buffered, idle=True):
            return
        due = [at for at in (deadline, performer.due_at) if at is not None]
        timeout_s = min(due, default=float("inf")) - time.monotonic()
        self._since_yield = 0
        await self._watcher.wait(min(max(0.0, timeout_s), _MAX_WAIT_S))
