"""The publisher class for asyncio.

It wraps the synchronous publisher. Under ``overflow="drop"`` a send never waits, so it is
done at once, in the event loop. Under ``block`` a full queue makes an event wait its turn,
first come first served, and later events wait behind it; the event loop tries again every
few milliseconds. An event keeps the stamp of its first try: the wait is part of its latency.

A task that is cancelled while its event waits has not published it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from pubsub_common.client.aio import EVENTS_PER_YIELD, Asynchronous, with_arguments_of
from pubsub_common.errors import NotReady, PubSubError
from pubsub_publisher.payloads import json_payload
from pubsub_publisher.publisher import Publisher as SyncPublisher
from pubsub_publisher.sending.batching import Item, batches
from pubsub_publisher.topics.topic_state import TopicState

_RETRY_S: Final = 0.001
_RETRY_MAX_S: Final = 0.01
_CHECK_S: Final = 0.002
_CHECK_MAX_S: Final = 0.05


class Publisher(Asynchronous[SyncPublisher]):
    """`pubsub_publisher.Publisher` for asyncio: the same arguments, and the same methods
    as coroutines, except `publish`, which generates events.

    Use ``async with``, or `configure`, publish, `disconnect`. All methods belong to the
    event loop in which `configure` was called, except `stop`. Events that one task
    publishes leave in order.
    """

    @with_arguments_of(SyncPublisher)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._inner = SyncPublisher(*args, **kwargs)
        self._senders: dict[str, Callable[[bytes], int]] = {}
        self._send_order = asyncio.Lock()
        self._waiting = 0

    # The end

    async def disconnect(self) -> None:
        """Leave the system: tell the broker how far each topic went, and let what
        was published go out within the linger time. Again: does nothing."""
        self._senders = {}
        await super().disconnect()

    # Publishing

    async def publish_event(self, topic: str, payload: bytes | str) -> None:
        """Publish ``payload`` on ``topic``, one of this publisher's topics. Text is sent
        as UTF-8.

        Raises:
            ConfigError: the topic is not one of them, or the payload is something else.
            PubSubError: this publisher is not connected, was stopped while the
                queue was full (``overflow="block"``), or the broker refuses it. The
                event then was not published.
        """
        self._since_yield += 1
        if self._since_yield >= EVENTS_PER_YIELD:
            await self._yield_to_loop()
        send = self._senders.get(topic) or self._sender(topic, payload)
        if not isinstance(payload, bytes):
            if not isinstance(payload, str):
                self._inner._topics.raise_invalid(topic, payload)
            payload = payload.encode()
        if self._waiting:
            stamp_ns = -self._inner._now_ns()
        else:
            stamp_ns = send(payload)
            if stamp_ns > 0:
                return
        if not stamp_ns:
            self._refuse()
        state = self._inner._topics.states[topic]
        await self._send_in_turn(state, [-stamp_ns], [payload])

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
        inner = self._inner
        inner._check_usable()
        default = inner._topics.default_topic(topic)
        count = 0
        topics = inner._event_socket.topics
        for batch in batches(topics, events, default, inner._now_ns):
            await self._yield_to_loop()
            args = batch.topic, batch.stamps_ns, batch.payloads
            if self._waiting or not self._try_send(*args):
                await self._send_in_turn(*args)
            count += len(batch.payloads)
        return count

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
                return self._inner.wait_for_subscribers(count, 0.0)
            except NotReady:
                if late or self._inner.stopped:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _CHECK_MAX_S)

    @property
    def subscriber_count(self) -> int:
        """How many subscribers are ready at present."""
        return self._inner.subscriber_count

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._inner.stopped

    @property
    def address(self) -> str:
        """``IP:port`` where subscribers connect; empty before `configure`."""
        return self._inner.address

    # Inside

    def _sender(self, topic: str, payload: object) -> Callable[[bytes], int]:
        """What sends events of ``topic`` without waiting; made at the first one.

        Raises:
            ConfigError: the topic is not one of ours.
            PubSubError: this publisher is not connected, or the broker refuses it.
        """
        inner = self._inner
        inner._check_usable()
        if topic not in inner._senders:
            inner._topics.raise_invalid(topic, payload)
        state = inner._topics.states[topic]
        sender = inner._event_socket.sender(state, waiting=False)
        self._senders[topic] = sender
        return sender

    async def _send_in_turn(
        self, topic: TopicState, stamps_ns: list[int], payloads: list[bytes]
    ) -> None:
        """Send events behind those that wait, when there is room.

        Raises:
            PubSubError: this publisher was stopped, or the broker refuses it.
        """
        # Counted, because between two holders the lock looks free.
        self._waiting += 1
        try:
            async with self._send_order:
                pause_s = _RETRY_S
                while not self._try_send(topic, stamps_ns, payloads):
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _RETRY_MAX_S)
        finally:
            self._waiting -= 1

    def _try_send(
        self, topic: TopicState, stamps_ns: list[int], payloads: list[bytes]
    ) -> bool:
        """Send events; False when there is no room.

        Raises:
            PubSubError: this publisher was stopped, or the broker refuses it.
        """
        sent = self._inner._event_socket.try_send(topic, stamps_ns, payloads)
        if sent is False or (sent is None and self.stopped):
            self._refuse()
        return sent is True

    def _refuse(self) -> NoReturn:
        """Raises:
        PubSubError: always; why nothing is published any more.
        """
        self._inner._check_not_refused()
        raise PubSubError("this publisher was stopped before the event could leave")
