"""The publisher class for asyncio.

It stands beside the one for threads, over the same runtime. Under ``overflow="drop"`` a send
never waits, so it is done at once, in the event loop. Under ``block`` a full queue makes an event
wait its turn, first come first served, and later events wait behind it; the event loop tries
again every few milliseconds. An event keeps the stamp of its first try: the wait is part of its
latency.

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
from pubsub_publisher import topic_changes
from pubsub_publisher.config import PublisherConfig
from pubsub_publisher.generated_events import Pace
from pubsub_publisher.pacing.precise_sleep import monotonic_ahead_ns
from pubsub_publisher.payloads import Payload, json_payload
from pubsub_publisher.publishing import checked_payload, generated, sender_of
from pubsub_publisher.readings import PublisherReadings
from pubsub_publisher.sending.batching import Item, batches
from pubsub_publisher.sending.frame_sender import STOPPED
from pubsub_publisher.topics.topic_state import Stamped, TopicState

_RETRY_S: Final = 0.001
_RETRY_MAX_S: Final = 0.01
_CHECK_S: Final = 0.002
_CHECK_MAX_S: Final = 0.05


class Publisher(PublisherReadings):
    """`pubsub_publisher.Publisher` for asyncio: the same arguments, and the same methods,
    as coroutines where they may wait.

    Use ``async with``, or `configure`, publish, `disconnect`. All methods belong to the
    event loop in which `configure` was called, except `stop`. Events that one task
    publishes leave in order.
    """

    _sends_wait = False

    @with_arguments_of(PublisherConfig)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The arguments are those of `pubsub_publisher.Publisher`.

        Raises:
            ConfigError: an argument cannot work.
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
        """Bind the data port, register with the broker, and wait for the subscribers that
        are there, as the synchronous publisher does. Raises what that does. When this is
        cancelled, nothing is left of it."""
        runtime = self._runtime
        try:
            await run_to_completion(runtime.open, runtime.stop)
        except asyncio.CancelledError:
            # It may have been too late to stop it.
            await run_to_completion(runtime.close)
            raise

    async def disconnect(self) -> None:
        """Leave the system: tell the broker how far each topic went, and let what
        was published go out within the linger time. Again: does nothing."""
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
        """Publish generated events, as the synchronous publisher does: what they are, what
        is returned and what is raised. The event loop's timers are less exact than its
        sleep: an event may leave some milliseconds late."""
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
        """Publish ``payload``, any bytes-like object, on ``topic``, one of this publisher's
        topics. Text is sent as UTF-8.

        Raises:
            ConfigError: the topic is not one of them, or the payload is something else, or
                too large.
            PubSubError: this publisher is not connected, was stopped while the
                queue was full (``overflow="block"``), or the broker refuses it. The
                event then was not published.
        """
        self._since_yield += 1
        if self._since_yield >= EVENTS_PER_YIELD:
            await self._yield_to_loop()
        send = self._senders.get(topic)
        if send is None or type(payload) is not bytes:
            payload = checked_payload(self._runtime, payload)
            send = self._senders.get(topic)
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
        """Publish ``value`` as JSON. What it may be, and what is raised, is as of the
        synchronous publisher."""
        await self.publish_event(topic, json_payload(value))

    async def publish_events(
        self, events: Iterable[Item], topic: str | None = None
    ) -> int:
        """Publish many events, as few messages; returns how many.

        ``events`` are payloads for ``topic`` (which may be left out when this publisher
        has only one), or pairs of topic and payload. They are taken from it in the event
        loop, so it should not be slow to give them. All have left when this returns.

        Raises:
            ConfigError: an event is something else, or its topic is not one of this
                publisher's. The events before it were published.
            PubSubError: as `publish_event`; some events then were not published.
        """
        runtime = self._runtime
        runtime.check_usable()
        topics, bounds, now_ns = runtime.topics, runtime.config.bounds, runtime.now_ns
        default = topics.only if topic is None else await self._declare(topic)
        count = 0
        for batch in batches(topics.present, events, default, now_ns, bounds):
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
        """Publish on these topics too. When this returns, the broker knows. Raises what the
        synchronous publisher's does."""
        await asyncio.to_thread(
            topic_changes.add_topics, self._runtime, topics, strengths
        )

    async def remove_topics(self, topics: Iterable[str]) -> None:
        """Publish on these topics no longer; one that is added again goes on with its
        next number. At least one must be left. Raises as `add_topics` does."""
        await asyncio.to_thread(topic_changes.remove_topics, self._runtime, topics)

    # Waiting for subscribers

    async def wait_for_subscribers(
        self, count: int = 1, timeout_s: float | None = None
    ) -> None:
        """Wait until ``count`` subscribers are ready: each of them receives whatever
        is published from here on, directly or through the broker.

        Raises:
            NotReady: fewer were ready after ``timeout_s`` seconds, or `stop` was called.
            PubSubError: this publisher is not connected, or the broker refuses it.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
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
        state = self._runtime.topics.present.get(topic)
        if state is not None:
            return state
        return await asyncio.to_thread(
            topic_changes.declare_topic, self._runtime, topic
        )

    async def _yield_to_loop(self) -> None:
        """Let other tasks run. Nobody has half an event in hand meanwhile."""
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
        """Send events behind those that wait, when there is room.

        Raises:
            PubSubError: this publisher was stopped, or the broker refuses it.
        """
        # Counted, because between two holders the lock looks free.
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
        """Send events; False when there is no room.

        Raises:
            PubSubError: this publisher was stopped, or the broker refuses it.
        """
        sent = self._runtime.events.try_send(topic, events)
        if sent is False or (sent is None and self.stopped):
            self._refuse()
        return sent is True

    def _refuse(self) -> NoReturn:
        """Raises:
        PubSubError: always; why nothing is published any more.
        """
        self._runtime.check_not_refused()
        raise PubSubError(STOPPED)
