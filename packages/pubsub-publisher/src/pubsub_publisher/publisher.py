"""The publisher class for programs that use threads.

`pubsub_publisher.runtime` sets it up and ends it, `pubsub_publisher.sending.event_socket` sends
events. This class only delegates. The module is longer than others: the documentation of each
option and each method is here, once, for the users of the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_publisher.config import Arrivals, OnSent, Overflow, PublisherConfig
from pubsub_publisher.payloads import Payload, json_payload
from pubsub_publisher.publishing import topic_changes
from pubsub_publisher.publishing.generated_events import Pace, publish_generated
from pubsub_publisher.publishing.slow_path import (
    checked_payload,
    send_in_turn,
    sender_of,
)
from pubsub_publisher.readings import PublisherReadings
from pubsub_publisher.sending.batching import Item, send_all
from pubsub_publisher.topics.topic_state import TopicState


class Publisher(PublisherReadings):
    """Publishes events on topics, directly to the subscribers or through a broker.

    Example:
        ```python
        with Publisher() as publisher:
            publisher.publish_event("weather", "sunny")
        ```

    Call `configure`, publish, and call `disconnect`; a ``with`` block does the first and the
    last. An object serves once. After a fork, the child makes its own.

    Several threads may publish at the same time. Signal handlers may call `publish_event`,
    `stop` and `disconnect`. After an exception of a signal handler the publisher is still
    usable.
    """

    def __init__(
        self,
        broker_address: str | Iterable[str] = defaults.LOOPBACK,
        topics: Iterable[str] = (),
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        sleep_period: float = defaults.SLEEP_PERIOD_S,
        bind_port: int = defaults.PUBLISHER_PORT,
        *,
        broker_port: int | None = None,
        bind: str | None = None,
        address: str | None = None,
        clock: str = "realtime",
        connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S,
        attach_timeout_s: float = defaults.ATTACH_TIMEOUT_S,
        overflow: Overflow = "drop",
        queue_limit: int | None = None,
        queue_bytes: int = defaults.QUEUE_BYTES,
        queue_total: int = defaults.QUEUE_TOTAL_BYTES,
        max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES,
        payload_bytes: int = defaults.PAYLOAD_BYTES,
        arrivals: Arrivals = "periodic",
        arrivals_seed: int | None = None,
        linger_s: float = defaults.LINGER_S,
        on_sent: OnSent | None = None,
        history: int = 0,
        history_bytes: int = defaults.HISTORY_BYTES,
        history_total: int = defaults.HISTORY_TOTAL_BYTES,
        strengths: Mapping[str, int] | int | None = None,
        keys: str | Path | None = None,
        name: str | None = None,
        declared_only: bool = False,
        shared_memory: defaults.SharedMemory = "auto",
    ) -> None:
        """Check the arguments; nothing is opened before `configure`.

        Environment variables such as ``PUBSUB_BROKER`` and ``PUBSUB_KEYS`` are read by the
        programs, not by this class.

        Args:
            broker_address: The IP address or name of the broker, with or without its port:
                ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``. Several brokers are a list, or one
                text with commas: the publisher takes the less loaded of two, and moves to
                another one when that broker is lost. A name is looked up by `configure`, and
                again when the broker is not found there.
            topics: The topics, a list of texts. `publish_event` adds others, unless
                ``declared_only`` is set.
            overflow: What happens to events for a connection with a full queue: ``drop``
                them, or ``block`` until there is room.
            history: Number of events that are kept, for each topic, for subscribers that
                missed them.
            keys: The file with the keys of this client, for a secure broker. The publisher
                then accepts only encrypted connections of clients that the broker admits.
            name: The name of this client in the broker's status, page, log and metrics: at
                most 64 printable characters without spaces. None: ``program@host:pid``.
                "": no name.

        Other args:
            indefinite: `publish` continues until `stop`.
            max_event_count: Number of events that `publish` generates.
            sleep_period: Seconds from one generated event to the next; 0: as fast as
                possible. With ``arrivals="poisson"`` the mean.
            bind_port: The first port to try; a port in use is skipped. 0: any free port.
                `bind_port` and `address` hold the result after `configure`.
            broker_port: The port, where ``broker_address`` names none; None: 5555.
            bind: Where to listen, if that is not ``address``: an IP address or name of this
                host, or ``0.0.0.0`` or ``::`` for all addresses.
            address: This host as others reach it: its IP address, or its name for a broker
                with ``allow_foreign_addresses``. None: found automatically. With a port,
                ``HOST:PORT``, others connect to that port, as behind NAT, and ``bind_port``
                must be free.
            clock: The clock of time stamps, ``realtime`` or ``monotonic``; subscribers must
                use the same one.
            connect_timeout_s: Seconds that `configure` waits for the broker.
            attach_timeout_s: Seconds that `configure`, `add_topics` and the first event of a
                new topic wait until the subscribers that the broker knows are connected, so
                that they receive the first event. Missing ones are logged. 0: no wait.
            queue_limit: Most messages that wait for a slow connection. None: 10,000, or
                1,000 with ``overflow="block"``.
            queue_bytes: Most bytes that wait for a slow connection.
            queue_total: Most bytes that wait for all connections together. One event always
                has room.
            max_payload_bytes: Largest payload; a larger one raises `ConfigError`.
            payload_bytes: Size of generated payloads.
            arrivals: Times of generated events: ``periodic``, or ``poisson`` for random ones.
            arrivals_seed: Equal seeds give equal random times.
            linger_s: Seconds that `disconnect` waits for events that have not left.
            on_sent: `publish` calls it after each event with the topic, the sequence number,
                and the times at which the event was due and was sent, in nanoseconds of the
                clock. The number is exact while nothing else publishes on the topic.
            history_bytes: Most bytes of payload in the history of a topic.
            history_total: Most bytes in the histories of all topics, with 256 for each event.
                Above it, the largest history loses its oldest event.
            strengths: The ownership strength of the topics, one number for all or a number
                by topic. Where a topic has publishers with a strength, subscribers receive
                only the events of the strongest; of equal ones, of the lowest session.
            declared_only: `publish_event` and `publish_events` refuse topics that neither
                ``topics`` nor `add_topics` named.
            shared_memory: Send large events to subscribers on this host by shared memory,
                with the extra ``pubsub-publisher[shm]``: ``auto`` where it is installed and
                the broker is not secure, ``on`` or ``off``.

        Raises:
            ConfigError: An argument is not valid.
        """
        self._live(
            PublisherConfig(
                broker_address,
                topics,
                indefinite,
                max_event_count,
                sleep_period,
                bind_port,
                broker_port=broker_port,
                bind=bind,
                address=address,
                clock=clock,
                connect_timeout_s=connect_timeout_s,
                attach_timeout_s=attach_timeout_s,
                overflow=overflow,
                queue_limit=queue_limit,
                queue_bytes=queue_bytes,
                queue_total=queue_total,
                max_payload_bytes=max_payload_bytes,
                payload_bytes=payload_bytes,
                arrivals=arrivals,
                arrivals_seed=arrivals_seed,
                linger_s=linger_s,
                on_sent=on_sent,
                history=history,
                history_bytes=history_bytes,
                history_total=history_total,
                strengths=strengths,
                keys=keys,
                name=name,
                declared_only=declared_only,
                shared_memory=shared_memory,
            )
        )

    def _live(self, config: PublisherConfig) -> None:
        super()._live(config)
        self.indefinite = config.indefinite
        self.max_event_count = config.max_event_count
        self.sleep_period = config.sleep_period
        # The same dictionary: looked up at every event.
        self._senders = self._runtime.senders

    # Set-up and end

    def configure(self) -> None:
        """Bind the data port, register with the broker, and wait until the subscribers that
        the broker knows are connected (``attach_timeout_s``).

        Raises:
            PubSubError: The broker's name is unknown, or this was called before.
            CannotListen: No port is free, or the address is not one of this host.
            BrokerUnreachable: No broker answered in time.
            HandshakeFailed: The keys of the broker and of this publisher do not match.
            RegistrationRefused: The broker refused this publisher.
            NotReady: `stop` was called meanwhile.
        """
        bind, register = self.setup_port_binding, self.register_pub
        run_uninterrupted(
            lambda: self._runtime.open(bind, register), self._runtime.stop
        )

    def setup_port_binding(self) -> None:
        """Bind the data socket to ``bind_port``, or to the next free port. `configure` calls
        this. Afterwards `bind_port` and `address` hold the result.

        Raises:
            CannotListen: No port is free, or the address is not one of this host.
            PubSubError: The caller is not `configure`.
        """
        self._runtime.bind()

    def register_pub(self) -> None:
        """Register with the broker, and renew the registration until `disconnect`. `configure`
        calls this.

        Raises:
            BrokerUnreachable: No broker answered in time.
            RegistrationRefused: The broker refused this publisher.
            NotReady: `stop` was called before the broker answered.
            PubSubError: The caller is not `configure`.
        """
        self._runtime.register()

    def disconnect(self) -> None:
        """Send the events that have not left, within ``linger_s``, and tell the broker the
        last number of each topic. Further calls do nothing."""
        self._runtime.disconnect()

    def __enter__(self) -> Self:
        if self._runtime.life.state == "configured":
            self._runtime.check_usable()
        else:
            self.configure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    # Publishing

    def publish(self, start_ns: int | None = None) -> int:
        """Publish generated events: ``max_event_count`` of them, or with ``indefinite`` until
        `stop`. The topics take turns.

        Event k is due at ``start_ns`` + k * ``sleep_period``.

        Args:
            start_ns: When the first event is due, in nanoseconds of this publisher's clock.
                None: now.

        Returns:
            The number of events.

        Raises:
            ConfigError: There is no topic, or ``start_ns`` is not a whole number.
            PubSubError: This publisher is not connected, or the broker refused it.
        """
        pace = dataclasses.replace(
            Pace.of(self._runtime.config),
            period_s=self.sleep_period,
            limit=None if self.indefinite else self.max_event_count,
        )
        return publish_generated(self._runtime, pace, start_ns)

    def publish_event(self, topic: str, payload: Payload | str) -> None:
        """Publish one event.

        A topic that is new is added first, as `add_topics` does: its events wait until the
        broker knows it and its subscribers are connected. After an error of this wait, later
        events do not wait, and the broker gets the topic when it answers.

        In a signal handler that interrupts a send, the event is sent by another thread at once;
        a new topic cannot be added there.

        Args:
            topic: The topic, at most 255 bytes of UTF-8.
            payload: Any bytes-like object, or text, which is sent as UTF-8.

        Raises:
            ConfigError: The topic or the payload is not valid, the payload is too large, or
                the topic is new and ``declared_only`` is set.
            BrokerUnreachable: The topic is new, and no broker answered in time.
            RegistrationRefused: The topic is new, and the broker refused it. Each
                later call raises this error.
            PubSubError: This publisher is not connected, the broker refused it, or it was
                stopped while it waited for the broker or for room (``overflow="block"``). The
                event was not published.
        """
        try:
            send = self._senders.get(topic)
        except TypeError:  # a list, for example
            send = None
        if send is None or type(payload) is not bytes:
            payload = checked_payload(self._runtime, payload)
            send = sender_of(self._runtime, topic)
        stamp_ns = send(payload)
        if stamp_ns <= 0:
            send_in_turn(self._runtime, topic, stamp_ns, payload)

    def publish_json(self, topic: str, value: Any) -> None:
        """Publish ``value`` as JSON.

        Args:
            topic: See `publish_event`.
            value: A value that `json.dumps` takes, or a dataclass, a datetime or another type
                that `msgspec` takes.

        Raises:
            ConfigError: The value cannot be written as JSON, or the topic is not valid.
            PubSubError: See `publish_event`.
        """
        self.publish_event(topic, json_payload(value))

    def publish_events(self, events: Iterable[Item], topic: str | None = None) -> int:
        """Publish many events in few messages. Subscribers receive each event separately, or
        together with `Subscriber.batches`.

        An event waits at most a millisecond for the others of its message, even if ``events``
        is a slow generator. All have left when this returns.

        Args:
            events: Payloads, or pairs (topic, payload). Payloads and topics are those of
                `publish_event`.
            topic: The topic of the payloads without one. None: the only topic of this
                publisher.

        Returns:
            The number of events.

        Raises:
            ConfigError: An item is not an event, or its topic is not clear or not valid. The
                events before it were published.
            PubSubError: See `publish_event`. Some events were not published.
        """
        runtime = self._runtime
        event_socket, topics = runtime.events, runtime.topics

        def declare(name: str) -> TopicState:
            return topic_changes.declare_topic(runtime, name)

        name = topics.only if topic is None else topic
        default = None if name is None else declare(name)
        try:
            return send_all(event_socket, events, default, topics.opened, declare)
        except PubSubError:
            self._runtime.check_not_refused()
            raise

    # Topics

    def add_topics(
        self,
        topics: Iterable[str],
        *,
        strengths: Mapping[str, int] | int | None = None,
    ) -> None:
        """Add topics, and wait until the broker knows them and their subscribers are connected
        (``attach_timeout_s``). Topics that are there are left as they are. Several threads may
        call this at the same time.

        Args:
            topics: A list of texts.
            strengths: Their ownership strength, as in the constructor.

        Raises:
            ConfigError: A topic or a strength is not valid.
            BrokerUnreachable: The broker did not answer in time. It gets the topics when it
                answers.
            RegistrationRefused: The broker refused the topics. Each later call raises
                this error.
            PubSubError: This publisher was disconnected, or the caller is a signal handler that
                interrupts a call of this publisher.
        """
        topic_changes.add_topics(self._runtime, topics, strengths)

    def remove_topics(self, topics: Iterable[str]) -> None:
        """Remove topics, and wait until the broker knows. A topic that is added again
        continues with its next sequence number.

        Args:
            topics: A list of texts.

        Raises:
            ConfigError: A topic is not one of this publisher's, or it is the last one and
                ``declared_only`` is set.
            PubSubError: See `add_topics`.
        """
        topic_changes.remove_topics(self._runtime, topics)

    # Waiting for subscribers

    def wait_for_subscribers(
        self, count: int = 1, timeout_s: float | None = None
    ) -> None:
        """Wait until at least ``count`` subscribers are ready: each of them receives all events
        that are published from then on.

        Args:
            count: Number of subscribers.
            timeout_s: Seconds; None: no limit.

        Raises:
            ConfigError: ``count`` or ``timeout_s`` is not a number.
            NotReady: Fewer subscribers were ready in time, or `stop` was called.
            PubSubError: This publisher is not connected, or the broker refused it.
        """
        self._runtime.wait_for_subscribers(count, timeout_s)
