"""The publisher class for programs that use threads.

How it is set up and ended is told in `pubsub_publisher.runtime`, how events leave in
`pubsub_publisher.sending.event_socket`. This class only delegates. The module is longer than
others: each option and each method is documented here, once, where its users look for it.
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
from pubsub_publisher import topic_changes
from pubsub_publisher.config import Arrivals, OnSent, Overflow, PublisherConfig
from pubsub_publisher.generated_events import Pace, publish_generated
from pubsub_publisher.payloads import Payload, json_payload
from pubsub_publisher.publishing import checked_payload, send_in_turn, sender_of
from pubsub_publisher.readings import PublisherReadings
from pubsub_publisher.sending.batching import Item, send_all
from pubsub_publisher.topics.topic_state import TopicState


class Publisher(PublisherReadings):
    """Publishes events on its topics to all that connect: subscribers, or the
    broker's forwarder. It is not told which.

    `publish` sends generated events, one every ``sleep_period`` seconds, the topics
    in turn; `publish_event` sends the user's own. Both may be called from several
    threads. Signal handlers may call `publish_event`, `stop` and `disconnect`; an exception
    that one raises inside any call leaves the publisher usable.

    Use `configure`, then publish, then `disconnect`; or a ``with`` block. Each serves once. In
    a process that was forked afterwards it cannot be used: make one there.
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
    ) -> None:
        """``broker_address`` is the broker's IP address or name, also with its port,
        ``HOST:PORT`` or ``[IPV6]:PORT``; ``broker_port`` is 5555 without either. A name is
        looked up by `configure`, and again when the broker is not found there any more.
        Of several brokers it is a list, or a text with commas: of two of them the emptier
        one is taken, and another one, under the same session, when that is gone.

        ``sleep_period`` is in seconds; 0 publishes as fast as possible. It is the time from
        one generated event to the next, or with ``arrivals="poisson"`` the mean of random
        ones; equal numbers as ``arrivals_seed`` give equal times.

        ``bind_port`` is the first port to try; a port in use is skipped. 0 takes any free
        port. `bind_port` and `address` say which it is after `configure`.
        ``address`` is this host as others reach it: its IP address, which is found by itself
        when left out, or its name, for a broker with ``allow_foreign_addresses``. With a port,
        ``HOST:PORT``, others connect to that one, as behind NAT, and ``bind_port`` must be
        free. ``bind`` is where to listen, if that is not ``address``: an IP address or name
        of this host, or ``0.0.0.0`` or ``::`` for all addresses.
        ``overflow`` says what happens to events for a connection whose queue of
        ``queue_limit`` messages is full: ``drop`` them, or ``block`` until it is not.
        The limit is 10,000 by default, or 1,000 with ``block``. ``queue_bytes`` bounds the
        same queue in bytes, by default 64 MiB, and ``queue_total`` the queues of all
        connections together, 1 GiB; one event always has room. A payload of more than
        ``max_payload_bytes`` bytes, by default 64 MiB, is refused with a `ConfigError`.
        ``payload_bytes`` is the size of generated payloads. ``on_sent`` is called by
        `publish` after each event, with topic, sequence number, the time at which it
        was due and the time at which it was sent, in nanoseconds of the clock; it is
        exact while nobody else publishes on the topic.

        The last ``history`` events of each topic, up to ``history_bytes`` bytes of
        payload a topic, are kept for subscribers that missed them. All topics together keep
        ``history_total`` bytes at most, with 256 for each event; for more, the topic that
        has most forgets its oldest. ``strengths`` gives
        topics an ownership strength (one number for all of them, or by topic): of a
        topic that any publisher has one for, subscribers are given the events of the
        strongest that is there (of several the one with the lowest session), and of
        no other.

        `configure` waits up to ``attach_timeout_s`` seconds (0: not at all) for the
        subscribers of its topics that are there already, so that they receive the first
        events; those that are missing then are logged.

        ``keys`` is the file of this client's keys, for a secure broker: then only
        clients that the broker admits can connect here, encrypted. Nothing is taken
        from the environment: ``PUBSUB_KEYS`` and ``PUBSUB_BROKER`` are for the programs.

        ``name`` is shown in the broker's status, page, log and metrics: at most 64 printable
        characters without spaces. None: ``program@host:pid``. "": none is shown.

        Raises:
            ConfigError: an argument cannot work.
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
        """Bind the data port, register with the broker, and wait for the subscribers that
        are there (``attach_timeout_s``).

        Raises:
            PubSubError: the broker's name is not known, or this was called before.
            CannotListen: no port is free, or the address is not this host's.
            BrokerUnreachable: no broker answered in time.
            HandshakeFailed: the broker and this publisher do not agree on keys.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the end of this.
        """
        bind, register = self.setup_port_binding, self.register_pub
        run_uninterrupted(
            lambda: self._runtime.open(bind, register), self._runtime.stop
        )

    def setup_port_binding(self) -> None:
        """Bind the data socket to ``bind_port`` (0: any free port), or the first free port
        after it; `bind_port` and `address` then say where it is. `configure` calls this.

        Raises:
            CannotListen: no port is free, or the address is not this host's.
            PubSubError: this is not called by `configure`.
        """
        self._runtime.bind()

    def register_pub(self) -> None:
        """Register with the broker, and stay registered until `disconnect`. `configure`
        calls this.

        Raises:
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
            PubSubError: this is not called by `configure`.
        """
        self._runtime.register()

    def disconnect(self) -> None:
        """Leave the system: tell the broker how far each topic went, and let what
        was published go out within the linger time. Again: does nothing."""
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
        """Publish generated events: ``max_event_count`` of them, or until `stop` when
        ``indefinite``; returns how many.

        Event k is due at start + k * ``sleep_period``, unless ``arrivals`` are random;
        ``start_ns`` is the start in
        nanoseconds of this publisher's clock, by default now.

        Raises:
            PubSubError: this publisher is not connected, or the broker refuses it
                since it restarted.
        """
        pace = dataclasses.replace(
            Pace.of(self._runtime.config),
            period_s=self.sleep_period,
            limit=None if self.indefinite else self.max_event_count,
        )
        return publish_generated(self._runtime, pace, start_ns)

    def publish_event(self, topic: str, payload: Payload | str) -> None:
        """Publish ``payload``, any bytes-like object, on ``topic``, one of this publisher's
        topics. Text is sent as UTF-8. In a signal handler that interrupts a send, another
        thread sends it at once.

        Raises:
            ConfigError: the topic is not one of them, or the payload is something else, or
                too large.
            PubSubError: this publisher is not connected, was stopped while the
                queue was full (``overflow="block"``), or the broker refuses it. The
                event then was not published.
        """
        send = self._senders.get(topic)
        if send is None or type(payload) is not bytes:
            payload = checked_payload(self._runtime, payload)
            send = sender_of(self._runtime, topic)
        stamp_ns = send(payload)
        if stamp_ns <= 0:
            send_in_turn(self._runtime, topic, stamp_ns, payload)

    def publish_json(self, topic: str, value: Any) -> None:
        """Publish ``value`` as JSON: what `msgspec.json.encode` takes, which is what
        `json.dumps` does and more (dataclasses, datetimes, ...).

        Raises:
            ConfigError: the topic is not one of this publisher's, or the value cannot
                be written as JSON.
            PubSubError: as `publish_event`.
        """
        self.publish_event(topic, json_payload(value))

    def publish_events(self, events: Iterable[Item], topic: str | None = None) -> int:
        """Publish many events, as few messages; returns how many.

        ``events`` are payloads for ``topic`` (which may be left out when this publisher
        has only one), or pairs of topic and payload. Each is numbered and stamped as by
        `publish_event`, and subscribers see no difference, unless they ask for batches.
        An event waits for the others of its batch for at most a millisecond, also when
        ``events`` is slow to give them; all have left when this returns.

        Raises:
            ConfigError: an event is something else, or its topic is not one of this
                publisher's. The events before it were published.
            PubSubError: as `publish_event`; some events then were not published.
        """
        runtime = self._runtime
        event_socket, topics = runtime.events, runtime.topics

        def declare(name: str) -> TopicState:
            return topic_changes.declare_topic(runtime, name)

        default = topics.only if topic is None else declare(topic)
        try:
            return send_all(event_socket, events, default, topics.present, declare)
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
        """Publish on these topics too. When this returns, the broker knows. A subscriber of a
        wildcard learns of them a moment later: `wait_for_subscribers` waits for it. Several
        threads may do so at once.

        Raises:
            ConfigError: a topic or strength is not valid.
            BrokerUnreachable: the broker did not answer in time; it will be told as soon
                as it does.
            RegistrationRefused: the broker will not have it.
            PubSubError: this publisher was disconnected, or a signal handler has interrupted
                a call that is in the midst of publishing.
        """
        topic_changes.add_topics(self._runtime, topics, strengths)

    def remove_topics(self, topics: Iterable[str]) -> None:
        """Publish on these topics no longer; one that is added again goes on with its
        next number. At least one must be left. Raises as `add_topics` does."""
        topic_changes.remove_topics(self._runtime, topics)

    # Waiting for subscribers

    def wait_for_subscribers(
        self, count: int = 1, timeout_s: float | None = None
    ) -> None:
        """Wait until ``count`` subscribers are ready: each of them receives whatever
        is published from here on, directly or through the broker.

        Raises:
            NotReady: fewer were ready after ``timeout_s`` seconds, or `stop` was called.
            PubSubError: this publisher is not connected, or the broker refuses it.
        """
        self._runtime.wait_for_subscribers(count, timeout_s)
