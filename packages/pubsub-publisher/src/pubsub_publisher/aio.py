"""The publisher class for asyncio.

It uses the same runtime as the class for threads. With ``overflow="drop"`` a send never waits, so
the event loop sends at once. With ``block``, an event waits in a fair queue while there is no room,
and later events wait behind it; the event loop tries again every few milliseconds. An event keeps
the time stamp of its first try: the wait is part of its latency.

A task that is cancelled while its event waits has not published it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from pubsub_common.client.aio import (
    EVENTS_PER_YIELD,
    run_to_completion,
    with_arguments_of,
)
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.net.deadline import deadline_after
from pubsub_publisher.config import PublisherConfig
from pubsub_publisher.pacing.precise_sleep import monotonic_ahead_ns
from pubsub_publisher.payloads import Payload, json_payload
from pubsub_publisher.publishing import topic_changes
from pubsub_publisher.publishing.generated_events import Pace
from pubsub_publisher.publishing.slow_path import checked_payload, generated, sender_of
from pubsub_publisher.readings import PublisherReadings
from pubsub_publisher.sending.batching import Item, batches
from pubsub_publisher.sending.frame_sender import STOPPED
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import TopicState

_RETRY_S: Final = 0.001
_RETRY_MAX_S: Final = 0.01
_CHECK_S: Final = 0.002
_CHECK_MAX_S: Final = 0.05


class Publisher(PublisherReadings):
    """`pubsub_publisher.Publisher` for asyncio: the same arguments and methods; methods that
    may wait are coroutines.

    Example:
        ```python
        async with Publisher() as publisher:
            await publisher.publish_event("weather", "sunny")
        ```

    All methods but `stop` belong to the event loop in which `configure` was called. Events
    that one task publishes leave in order. A task that is cancelled while its event waits has
    not published it.
    """

    _sends_wait = False

    @with_arguments_of(PublisherConfig)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The arguments are those of `pubsub_publisher.Publisher`.

        Raises:
            ConfigError: An argument is not valid.
        """
        self._live(PublisherConfig(*args, **kwargs))

    def _live(self, config: PublisherConfig) -> None:
        super()._live(config)
        self._senders = self._runtime.senders  # the same dictionary
        self._send_order = asyncio.Lock()
        self._waiting = 0
        self._since_yield = 0  # events since other tasks could run

    # Set-up and end

    async def configure(self) -> None:
        """Connect, as `pubsub_publisher.Publisher.configure` does, and raise the same errors.
        A call that is cancelled leaves nothing open."""
        runtime = self._runtime
        try:
            await run_to_completion(runtime.open, runtime.stop)
        except asyncio.CancelledError:
            # It may have ended before it could be stopped.
            await run_to_completion(runtime.close)
            raise

    async def disconnect(self) -> None:
        """Send the events that have not left, within ``linger_s``, and tell the broker the
        last number of each topic. Further calls do nothing."""
        if self._runtime.life.state != "made":
            await run_to_completion(self._runtime.close)

    async def __aenter__(self) -> Self:
        if self._runtime.life.state == "configured":
            self._runtime.check_usable()
        else:
            await self.configure()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.disconnect()

    # Publishing

    async def publish(self, start_ns: int | None = None) -> int:
        """Publish generated events, as `pubsub_publisher.Publisher.publish` does. An event may
        leave some milliseconds late: the timers of the event loop are less exact."""
        runtime, config = self._runtime, self._runtime.config
        runtime.check_usable()
        pace = Pace.of(config)
        due_times = pace.due_times(runtime.now_ns() if start_ns is None else start_ns)
        ahead_ns = monotonic_ahead_ns(runtime.now_ns)
        count = 0
        while count != pace.limit and not runtime.ended():
            due_ns = next(due_times)
            await self._sleep_until(due_ns + ahead_ns)
            if runtime.ended():
                break
            topic, payload = generated(runtime, count)
            stamp_ns = runtime.now_ns()
            try:
                await self.publish_event(topic.name, payload)
            except PubSubError:
                if runtime.stopping:
                    break
                raise
            if config.on_sent is not None:
                number = runtime.events.last_number(topic)
                config.on_sent(topic.name, number, due_ns, stamp_ns)
            count += 1
        return count

    async def publish_event(self, topic: str, payload: Payload | str) -> None:
        """Publish one event. A topic that is new is added first.

        Arguments and errors are those of `pubsub_publisher.Publisher.publish_event`.
        """
        self._since_yield += 1
        if self._since_yield >= EVENTS_PER_YIELD:
            await self._yield_to_loop()
        try:
            send = self._senders.get(topic)
        except TypeError:  # a list, for example
            send = None
        if send is None or type(payload) is not bytes:
            payload = checked_payload(self._runtime, payload)
            if send is None:
                send = await asyncio.to_thread(sender_of, self._runtime, topic)
        stamp_ns = -self._runtime.now_ns() if self._waiting else send(payload)
        if stamp_ns > 0:
            return
        if not stamp_ns:
            self._refuse()
        state = self._runtime.topics.states[topic]
        await self._send_in_turn(state, [(-stamp_ns, payload)])

    async def publish_json(self, topic: str, value: Any) -> None:
        """Publish ``value`` as JSON, as `pubsub_publisher.Publisher.publish_json` does."""
        await self.publish_event(topic, json_payload(value))

    async def publish_events(
        self, events: Iterable[Item], topic: str | None = None
    ) -> int:
        """Publish many events in few messages; returns how many.

        Arguments and errors are those of `pubsub_publisher.Publisher.publish_events`. The event
        loop takes the events from ``events``, so it should not be a slow generator. All have
        left when this returns.
        """
        runtime = self._runtime
        runtime.check_usable()
        topics, bounds, now_ns = runtime.topics, runtime.config.bounds, runtime.now_ns
        name = topics.only if topic is None else topic
        default = None if name is None else await self._declare(name)
        count = 0
        for batch in batches(topics.opened, events, default, now_ns, bounds):
            if isinstance(batch, str):
                await self._declare(batch)
                continue
            await self._yield_to_loop()
            if self._waiting or not self._try_send(batch.topic, batch.events):
                await self._send_in_turn(batch.topic, batch.events)
            count += len(batch.events)
        return count

    # Topics

    async def add_topics(
        self,
        topics: Iterable[str],
        *,
        strengths: Mapping[str, int] | int | None = None,
    ) -> None:
        """Add topics, as `pubsub_publisher.Publisher.add_topics` does."""
        await asyncio.to_thread(
            topic_changes.add_topics, self._runtime, topics, strengths
        )

    async def remove_topics(self, topics: Iterable[str]) -> None:
        """Remove topics, as `pubsub_publisher.Publisher.remove_topics` does."""
        await asyncio.to_thread(topic_changes.remove_topics, self._runtime, topics)

    # Waiting for subscribers

    async def wait_for_subscribers(
        self, count: int = 1, timeout_s: float | None = None
    ) -> None:
        """Wait until at least ``count`` subscribers are ready: each of them receives all events
        that are published from then on.

        Raises:
            ConfigError: ``count`` or ``timeout_s`` is not a number.
            NotReady: Fewer subscribers were ready after ``timeout_s`` seconds, or `stop` was
                called.
            PubSubError: This publisher is not connected, or the broker refused it.
        """
        deadline = deadline_after(timeout_s)
        pause_s = _CHECK_S
        while True:
            late = deadline is not None and time.monotonic() >= deadline
            try:
                return self._runtime.wait_for_subscribers(count, 0.0)
            except NotReady:
                if late or self.stopped:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _CHECK_MAX_S)

    # Inside

    async def _declare(self, topic: str) -> TopicState:
        """The state of ``topic``, which is added if it is new."""
        state = self._runtime.topics.opened.get(topic)
        if state is not None:
            return state
        return await asyncio.to_thread(
            topic_changes.declare_topic, self._runtime, topic
        )

    async def _yield_to_loop(self) -> None:
        """Let other tasks run."""
        self._since_yield = 0
        await asyncio.sleep(0)

    async def _sleep_until(self, due_ns: int) -> None:
        """Sleep until the monotonic clock shows ``due_ns``, or `stop`."""
        await asyncio.sleep(0)
        while (left_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
            await asyncio.sleep(min(left_s, _CHECK_MAX_S))
            if self._runtime.ended():
                return

    async def _send_in_turn(self, topic: TopicState, events: Sequence[Stamped]) -> None:
        """Send events after those that wait, when there is room.

        Raises:
            PubSubError: This publisher was stopped, or the broker refused it.
        """
        # Counted: between two holders the lock looks free.
        self._waiting += 1
        try:
            async with self._send_order:
                pause_s = _RETRY_S
                while not self._try_send(topic, events):
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _RETRY_MAX_S)
        finally:
            self._waiting -= 1

    def _try_send(self, topic: TopicState, events: Sequence[Stamped]) -> bool:
        """Send events; False if there is no room.

        Raises:
            PubSubError: This publisher was stopped, or the broker refused it.
        """
        sent = self._runtime.events.try_send(topic, events)
        if sent is False or (sent is None and self.stopped):
            self._refuse()
        return sent is True

    def _refuse(self) -> NoReturn:
        """Raises:
        PubSubError: Always, with the reason why this publisher sends no events.
        """
        self._runtime.check_not_refused()
        raise PubSubError(STOPPED)
