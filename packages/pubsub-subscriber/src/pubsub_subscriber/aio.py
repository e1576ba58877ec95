"""The subscriber class for asyncio.

Theory of operation
-------------------
The event loop waits for sockets (`pubsub_subscriber.receiving.asyncio_watcher`). A timer ends the
wait when other work is due, such as requests for missing events. `configure` and `disconnect` wait
for the broker, so they run in a thread.

The step of the loop that delivers an event also takes it from the receiver. So a task that is
cancelled while it waits loses no event: the next call gets it. The receiver keeps the burst that a
task iterates over: the next call finds the rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from operator import length_hint
from types import TracebackType
from typing import Any, Self, TypeVar

from pubsub_common.client.aio import (
    EVENTS_PER_YIELD,
    run_to_completion,
    with_arguments_of,
)
from pubsub_common.earliest import earliest
from pubsub_common.errors import PubSubError
from pubsub_common.net.deadline import deadline_after
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.events import Event
from pubsub_subscriber.config import SubscriberConfig
from pubsub_subscriber.readings import SubscriberReadings
from pubsub_subscriber.ready_wait import ready_steps
from pubsub_subscriber.receiving.asyncio_watcher import AsyncioWatcher
from pubsub_subscriber.seed_methods import SeedMethods

_T = TypeVar("_T")


class Subscriber(SubscriberReadings, SeedMethods):
    """`pubsub_subscriber.Subscriber` for asyncio: the same arguments and methods; methods that
    may wait are coroutines.

    Example:
        ```python
        async with Subscriber(topics=["weather"]) as subscriber:
            async for event in subscriber:
                print(event.topic, event.payload)
        ```

    All methods but `stop` belong to the event loop in which `configure` was called. Several
    tasks may receive; each event goes to one of them. A task that is cancelled while it waits
    loses no event.
    """

    @with_arguments_of(SubscriberConfig)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._live(SubscriberConfig(*args, **kwargs))

    def _live(self, config: SubscriberConfig) -> None:
        super()._live(config)
        self._receiver = self._runtime.receiver
        self._watcher = AsyncioWatcher(self._receiver)
        self._leaving = False
        self._since_yield = 0  # events since other tasks could run
        # At the last check that this is usable: nothing has woken the receiver since.
        self._usable_token: object = None

    # Set-up and end

    async def configure(self) -> None:
        """Connect, as `pubsub_subscriber.Subscriber.configure` does, and raise the same
        errors. A call that is cancelled leaves nothing open."""
        runtime = self._runtime
        try:
            await run_to_completion(runtime.open, runtime.abort)
            # Another task may have begun to disconnect it since.
            if self._leaving or not self._watcher.start():
                raise runtime.life.disconnected()
        except asyncio.CancelledError:
            await self.disconnect()  # it may have ended before it could be stopped
            raise

    async def disconnect(self) -> None:
        """Disconnect, and tell the broker. Further calls do nothing."""
        if self._leaving:
            return
        self._leaving = True  # a thread has the sockets now
        try:
            self._watcher.stop()
            if self._runtime.life.state != "made":
                await run_to_completion(self._runtime.close)
        finally:
            self._leaving = False

    async def __aenter__(self) -> Self:
        if self._runtime.life.state != "configured":
            await self.configure()
        self._runtime.check_usable()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()

    # Receiving

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Events as they arrive, until `stop` or ``max_event_count``.

        Raises:
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        while True:
            if self._since_yield >= EVENTS_PER_YIELD:
                await self._yield_to_loop()
            burst = self._take_without_waiting(self._receiver.burst)
            if burst is not None:
                self._since_yield += min(length_hint(burst), EVENTS_PER_YIELD)
                # In one line: between two lines, an exception of a signal handler would lose
                # an event.
                for event in islice(burst, EVENTS_PER_YIELD): yield event  # noqa: E701 # fmt: skip
            elif self._has_ended(None):
                return
            else:
                await self._watcher.wait(self._next_check(None))

    async def receive(self, timeout_s: float | None = None) -> Event | None:
        """Wait for the next event; None after ``timeout_s`` seconds, after `stop`, or when
        ``max_event_count`` events were received.

        Raises:
            ConfigError: ``timeout_s`` is not a number.
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        deadline = deadline_after(timeout_s)
        if self._since_yield >= EVENTS_PER_YIELD:
            await self._yield_to_loop()
        self._since_yield += 1
        if timeout_s is not None and timeout_s <= 0:
            self._receiver.check_again()
        while True:
            burst = self._take_without_waiting(self._receiver.burst)
            if burst is None:
                if self._has_ended(deadline):
                    return None
                await self._watcher.wait(self._next_check(deadline))
            else:
                for event in burst: return event  # noqa: E701 # fmt: skip

    def parse_publish_event(self, topic: str = "") -> Event | None:
        """The next event that has arrived, without waiting; None if there is none. See
        `pubsub_subscriber.Subscriber.parse_publish_event`."""
        self._check_ours()
        return self._receiver.next_arrived(topic)

    async def batches(self) -> AsyncIterator[Batch]:
        """Events as they arrive, in batches: events that were published together come
        together. An event that was published alone is a batch of one."""
        self._watcher.batches = True
        while True:
            if self._since_yield >= EVENTS_PER_YIELD:
                await self._yield_to_loop()
            batch = self._take_without_waiting(lambda: self._receiver.next_batch(0.0))
            if batch is not None:
                self._since_yield += len(batch)
                yield batch
            elif self._has_ended(None):
                return
            else:
                await self._watcher.wait(self._next_check(None))

    async def notify(self) -> None:
        """Receive ``max_event_count`` events, as `pubsub_subscriber.Subscriber.notify`
        does."""
        recording = self._runtime.recording
        try:
            if recording.wanted():
                async for event in self:
                    recording.add(event)
                    if not recording.wanted():
                        break
            recording.log_limit()
        finally:
            await self.write_stored_messages()

    async def write_stored_messages(self) -> None:
        """Write the latencies that `notify` recorded to ``filename``, if there is one.

        Raises:
            OSError: The file could not be written.
        """
        await run_to_completion(self._runtime.recording.write)

    async def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Wait until every publisher of these topics that the broker knows is connected, as
        `pubsub_subscriber.Subscriber.wait_until_ready` does."""
        self._check_ours()
        self._runtime.check_usable()
        for until in ready_steps(self._receiver, timeout_s, self._runtime.stopped):
            if until is None:
                self._watcher.wake_all()  # they get the buffered events
                await self._yield_to_loop()
            else:
                await self._watcher.wait(self._next_check(until))
            self._check_ours()

    # Inside

    def _check_ours(self) -> None:
        if self._leaving:
            raise PubSubError("this subscriber is disconnecting")

    def _take_without_waiting(self, take: Callable[[], _T | None]) -> _T | None:
        """The result of ``take``, which does not wait."""
        if self._leaving and self._receiver.stopping:
            return None
        if self._leaving:
            self._check_ours()
        if self._receiver.drained:
            return None
        found = take()
        if found is not None:
            self._watcher.wake_all()  # other tasks may wait for the rest
        return found

    def _has_ended(self, deadline: float | None) -> bool:
        """Whether this subscriber has ended or the deadline has passed. This step of the loop
        has looked at all that has arrived."""
        late = deadline is not None and time.monotonic() >= deadline
        return late or self._receiver.ended

    def _next_check(self, deadline: float | None) -> float | None:
        """When a wait must end: for due work, or at the deadline.

        Raises:
            PubSubError: This subscriber is not connected, or the broker refused it.
        """
        token = self._receiver.wake_token
        if token is not self._usable_token:
            self._runtime.check_usable()
            self._usable_token = token
        self._since_yield = 0
        return earliest(deadline, self._runtime.performer.due_at)

    async def _yield_to_loop(self) -> None:
        """Let other tasks run."""
        self._since_yield = 0
        await asyncio.sleep(0)
