"""The publisher class for programs that use threads.

How events leave is told in `pubsub_publisher.sending.event_socket`,
how batches are made in `pubsub_publisher.sending.batching`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import zmq

from pubsub_common import defaults, validation
from pubsub_common.client.control_client import ControlClient, client_keys
from pubsub_common.client.session import HeartbeatInputs, Identity
from pubsub_common.client.session_updates import (
    Accepted,
    GrantsUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import CannotListen, ConfigError, PubSubError
from pubsub_common.measurement.clocks import clock_ns
from pubsub_common.net import addresses
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.net.sockets import bind_first_free, endpoint, wait_until_sent
from pubsub_common.protocol.endpoints import broker_endpoint, validate_host
from pubsub_common.protocol.events import encode_event
from pubsub_publisher.pacing.precise_sleep import sleep_until
from pubsub_publisher.pacing.schedule import Schedule
from pubsub_publisher.payloads import generated_payload, json_payload
from pubsub_publisher.sending.batching import send_all
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.sending.stall_log import StallLog
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_set import TopicSet
from pubsub_publisher.topics.topic_state import TopicState

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Vouched
    from pubsub_publisher.security.authenticator import Authenticator

_log = logging.getLogger(__name__)

Overflow = Literal["drop", "block"]
OnSent = Callable[[str, int, int, int], None]

_MAX_HISTORY: Final = 10**8


class Publisher:
    """Publishes events on its topics to all that connect: subscribers, or the
    broker's forwarder. It is not told which.

    `publish` sends generated events, one every ``sleep_period`` seconds, the topics
    in turn; `publish_event` sends the user's own. Both may be called from several
    threads.

    Use `configure`, then publish, then `disconnect`; or a ``with`` block.
    """

    def __init__(
        self,
        broker_address: str = defaults.LOOPBACK,
        topics: Iterable[str] = (),
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        sleep_period: float = defaults.SLEEP_PERIOD_S,
        bind_port: int = defaults.PUBLISHER_PORT,
        *,
        broker_port: int | None = None,
        address: str | None = None,
        clock: str = "realtime",
        connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S,
        overflow: Overflow = "drop",
        queue_limit: int | None = None,
        payload_bytes: int = defaults.PAYLOAD_BYTES,
        linger_s: float = defaults.LINGER_S,
        on_sent: OnSent | None = None,
        history: int = 0,
        history_bytes: int = defaults.HISTORY_BYTES,
        strengths: Mapping[str, int] | int | None = None,
        keys: str | Path | None = None,
    ) -> None:
        """``broker_address`` is the broker's IPv4 address or name, also with its port,
        ``HOST:PORT``; ``broker_port`` is 5555 without either. A name is looked up by
        `configure`, once.

        ``sleep_period`` is in seconds; 0 publishes as fast as possible.

        ``bind_port`` is the first port to try; a port in use is skipped. 0 takes any free
        port. `bind_port` and `address` say which it is after `configure`.
        ``address`` is this host's IP address, found by itself when left out.
        ``overflow`` says what happens to events for a connection whose queue of
        ``queue_limit`` messages is full: ``drop`` them, or ``block`` until it is not.
        The limit is 10,000 by default, or 1,000 with ``block``.
        ``payload_bytes`` is the size of generated payloads. ``on_sent`` is called by
        `publish` after each event, with topic, sequence number, the time at which it
        was due and the time at which it was sent, in nanoseconds of the clock; it is
        exact while nobody else publishes on the topic.

        The last ``history`` events of each topic, up to ``history_bytes`` bytes of
        payload a topic, are kept for subscribers that missed them. ``strengths`` gives
        topics an ownership strength (one number for all of them, or by topic): of a
        topic that any publisher has one for, subscribers are given the events of the
        strongest that is there (of several the one with the lowest session), and of
        no other.

        ``keys`` is the file of this client's keys, for a secure broker: then only
        clients that the broker admits can connect here, encrypted. Nothing is taken
        from the environment: ``PUBSUB_KEYS`` and ``PUBSUB_BROKER`` are for the programs.

        Raises:
            ConfigError: an argument cannot work.
        """
        validation.at_least("max_event_count", max_event_count)
        validation.seconds("sleep_period", sleep_period)
        validation.port("bind_port", bind_port, low=0)
        if overflow not in ("drop", "block"):
            raise ConfigError(f"overflow is 'drop' or 'block', not {overflow!r}")
        if queue_limit is None:
            blocks = overflow == "block"
            queue_limit = (
                defaults.BLOCKING_QUEUE_LIMIT if blocks else defaults.QUEUE_LIMIT
            )
        validation.queue_limit(queue_limit)
        validation.in_range(
            "payload_bytes", payload_bytes, 0, defaults.MAX_PAYLOAD_BYTES
        )
        validation.in_range("history", history, 0, _MAX_HISTORY)
        validation.at_least("history_bytes", history_bytes)
        self.broker_address, self._broker_port = broker_endpoint(
            broker_address, broker_port
        )
        self._broker_ip = ""  # found by `configure`
        self._topics = TopicSet(
            topics,
            strengths,
            lambda: History(history, history_bytes) if history else None,
        )
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.sleep_period = sleep_period
        self.bind_port = bind_port
        self.address = ""
        self.session = -1
        self._given_address = validate_host(address) if address else None
        self._clock = clock
        self._now_ns = clock_ns(clock)
        self._connect_timeout_s = connect_timeout_s
        self._overflow = overflow
        self._queue_limit = queue_limit
        self._payload_bytes = payload_bytes
        self._linger_s = linger_s
        self._on_sent = on_sent
        self._keys = client_keys(keys)
        self._authenticator: Authenticator | None = None
        # Filled while connected.
        self._senders: dict[str, Callable[[bytes], int]] = {}
        self._stall_log = StallLog()
        self._stopping = False
        self._configured = False
        self._control: ControlClient | None = None

    # Set-up and end

    def configure(self) -> None:
        """Bind the data port and register with the broker.

        Raises:
            PubSubError: the broker's name is not known.
            CannotListen: no port is free, or the address is not this host's.
            BrokerUnreachable: no broker answered in time.
            HandshakeFailed: the broker and this publisher do not agree on keys.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
        """
        self._context = new_context()
        self._event_socket = EventSocket(
            self._context,
            self._topics.states,
            self._now_ns,
            self._queue_limit,
            blocking=self._overflow == "block",
            stopped=lambda: self._stopping,
        )
        self._configured = True
        try:
            if self._keys is not None:
                from pubsub_publisher.security.authenticator import Authenticator

                self._authenticator = Authenticator(
                    self._context, self._event_socket, self._keys
                )
            self._broker_ip = addresses.resolve(self.broker_address)
            self.setup_port_binding()
            self.register_pub()
            self._senders = {
                name: self._event_socket.sender(topic)
                for name, topic in self._topics.states.items()
            }
        except BaseException:
            self.disconnect()
            raise

    def setup_port_binding(self) -> None:
        """Bind the data socket to ``bind_port`` (0: any free port), or the first free port
        after it; `bind_port` and `address` then say where it is.

        Raises:
            CannotListen: no port is free, or the address is not this host's.
        """
        host = self.get_host_address()
        try:
            port = bind_first_free(self._event_socket.socket, host, self.bind_port)
        except zmq.ZMQError as error:
            raise CannotListen(f"cannot listen on {host}: {error.strerror}") from error
        if port is None:
            raise CannotListen(f"no free port on {host} from {self.bind_port} on")
        if self.bind_port not in (0, port):
            _log.info("port %d is in use, taking %d", self.bind_port, port)
        self.bind_port = port
        self.address = self._event_socket.address = f"{host}:{port}"

    def register_pub(self) -> None:
        """Register with the broker, and stay registered until `disconnect`.

        Raises:
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
        """
        self._control = ControlClient(
            self._context,
            endpoint(self._broker_ip, self._broker_port),
            self._identity(),
            self._on_session_update,
            on_wake=self._serve,
            input_fd=self._event_socket.fd,
            keys=self._keys,
            heartbeat=HeartbeatInputs(published=self._topics.published),
        )
        self._event_socket.wake = self._control.wake
        self._control.start()
        self.session = self._control.wait_registered(
            self._connect_timeout_s, stopped=lambda: self._stopping
        ).session
        _log.info("%s publishes %s", self.address, ", ".join(self.topics))

    def get_host_address(self) -> str:
        """This host's IP address as the broker and subscribers reach it."""
        return self._given_address or addresses.host_address(
            self._broker_ip or addresses.resolve(self.broker_address)
        )

    def stop(self) -> None:
        """End `publish` and waits soon. For any thread and for signal handlers."""
        self._stopping = True
        if self._configured and self._overflow == "block":
            # So that no thread begins to wait for room.
            self._event_socket.refuse_events()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def disconnect(self) -> None:
        """Leave the system: tell the broker how far each topic went, and let what
        was published go out within the linger time. Again: does nothing."""
        if not self._configured:
            return
        self._stopping = True
        until = time.monotonic() + self._linger_s
        # Behind every event that another thread is sending.
        with self._event_socket.lock:
            self._configured = False
            self._senders = {}
            self._event_socket.refuse_events()
        self._event_socket.flush_all(self._linger_s)
        if self._control is not None:
            self._control.close(self._topics.next_numbers())
            if self._event_socket.session >= 0:
                self._event_socket.serve_last_requests(until - time.monotonic())
        wait_until_sent(self.bind_port, until - time.monotonic())
        self._event_socket.close(max(0.0, until - time.monotonic()))
        terminate_context(self._context, until - time.monotonic())

    def __enter__(self) -> Self:
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

        Event k is due at start + k * ``sleep_period``; ``start_ns`` is the start in
        nanoseconds of this publisher's clock, by default now.

        Raises:
            PubSubError: this publisher is not connected, or the broker refuses it
                since it restarted.
        """
        self._check_usable()
        schedule = Schedule(
            self._now_ns() if start_ns is None else start_ns,
            round(self.sleep_period * 1e9),
        )
        # Waiting goes by a clock that nobody sets: one that was set back would stop us.
        ahead_ns = time.monotonic_ns() - self._now_ns()
        count = 0
        while not self._stopping:
            if not self.indefinite and count == self.max_event_count:
                break
            self._check_not_refused()
            due_ns = schedule.due_ns(count)
            if not sleep_until(due_ns + ahead_ns, self._ended) or self._stopping:
                break
            topic, payload = self._generate(count)
            sent_ns = self._senders[topic.name](payload)
            if not sent_ns:
                break
            if self._on_sent is not None:
                self._on_sent(topic.name, topic.next_number - 1, due_ns, sent_ns)
            count += 1
        return count

    def generate_publish_event(self, iteration: int = 0) -> bytes:
        """The frame of a generated event, stamped now. ``iteration`` chooses the
        topic: number ``iteration % len(topics)``.

        It takes the topic's next sequence number, so a frame that is not sent is a
        loss to subscribers.
        """
        topic, payload = self._generate(iteration)
        stamp_ns = self._now_ns()
        if self._configured:
            number = self._event_socket.reserve_number(topic, stamp_ns, payload)
            if number < 0:
                raise PubSubError(
                    "this publisher was stopped before the event could leave"
                )
        else:
            number = topic.next_sequence
            topic.mark_sent([stamp_ns], [payload])
        return encode_event(
            topic.name, self.address, self.session, number, stamp_ns, payload
        )

    def publish_event(self, topic: str, payload: bytes | str) -> None:
        """Publish ``payload`` on ``topic``, one of this publisher's topics. Text is sent
        as UTF-8.

        Raises:
            ConfigError: the topic is not one of them, or the payload is something else.
            PubSubError: this publisher is not connected, was stopped while the
                queue was full (``overflow="block"``), or the broker refuses it. The
                event then was not published.
        """
        send = self._senders.get(topic)
        if send is None or not isinstance(payload, bytes):
            self._check_usable()
            if send is None or not isinstance(payload, str):
                self._topics.raise_invalid(topic, payload)
            payload = payload.encode()
        if not send(payload):
            self._check_not_refused()
            raise PubSubError("this publisher was stopped before the event could leave")

    def publish_json(self, topic: str, value: Any) -> None:
        """Publish ``value`` as JSON: what `msgspec.json.encode` takes, which is what
        `json.dumps` does and more (dataclasses, datetimes, ...).

        Raises:
            ConfigError: the topic is not one of this publisher's, or the value cannot
                be written as JSON.
            PubSubError: as `publish_event`.
        """
        self.publish_event(topic, json_payload(value))

    def publish_events(
        self, events: Iterable[bytes | tuple[str, bytes]], topic: str | None = None
    ) -> int:
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
        self._check_usable()
        try:
            return send_all(
                self._event_socket, events, self._topics.default_topic(topic)
            )
        except PubSubError:
            self._check_not_refused()
            raise

    # Topics

    @property
    def topics(self) -> tuple[str, ...]:
        """This publisher's topics."""
        return self._topics.names

    @property
    def strengths(self) -> dict[str, int]:
        """The ownership strengths of those topics that have one."""
        return self._topics.strengths

    def add_topics(
        self,
        topics: Iterable[str],
        *,
        strengths: Mapping[str, int] | int | None = None,
    ) -> None:
        """Publish on these topics too. When this returns, the broker knows.

        Raises:
            ConfigError: a topic or strength is not valid.
            BrokerUnreachable: the broker did not answer in time; it will be told as soon
                as it does.
            RegistrationRefused: the broker will not have it.
        """
        self._topics.add(topics, strengths)
        self._topics_changed()

    def remove_topics(self, topics: Iterable[str]) -> None:
        """Publish on these topics no longer; one that is added again goes on with its
        next number. At least one must be left. Raises as `add_topics` does."""
        names = self._topics.excluding(topics)
        for name in set(self.topics).difference(names):
            self._senders.pop(name, None)
            if self._configured:
                self._event_socket.flush(self._topics.states[name])
        self._topics.retain(names)
        self._topics_changed()

    def _topics_changed(self) -> None:
        if self._configured and self._control is not None:
            for name in self.topics:
                if name not in self._senders:
                    topic = self._topics.states[name]
                    self._senders[name] = self._event_socket.sender(topic)
            self._control.change(self._identity(), self._connect_timeout_s)

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
        self._check_usable()
        self._event_socket.requests.ready_subscribers.wait(
            count, timeout_s, self._ended
        )

    @property
    def subscriber_count(self) -> int:
        """How many subscribers are ready at present."""
        if not self._configured:
            return 0
        return len(self._event_socket.requests.ready_subscribers.subscribers)

    # Inside

    def _identity(self) -> Identity:
        return Identity(
            "publisher",
            self.topics,
            self.address,
            self._clock,
            strengths=self.strengths,
        )

    def _check_not_refused(self) -> None:
        if self._control is not None and self._control.error is not None:
            raise self._control.error

    def _check_usable(self) -> None:
        self._check_not_refused()
        if not self._configured:
            raise PubSubError("this publisher is not connected: call configure first")

    def _ended(self) -> bool:
        """Whether `stop` was called.

        Raises:
            PubSubError: it was not, but the broker refuses this publisher.
        """
        if not self._stopping:
            self._check_not_refused()
        return self._stopping

    def _generate(self, iteration: int) -> tuple[TopicState, bytes]:
        names = self._topics.names
        topic = self._topics.states[names[iteration % len(names)]]
        return topic, generated_payload(iteration, self.address, self._payload_bytes)

    def _serve(self) -> float | None:
        """In the control thread: serve the event socket, and log a stall."""
        again_s = self._event_socket.serve()
        if not self._event_socket.waiting:
            return again_s
        published = sum(self._topics.published().values())
        check_s = self._stall_log.check(published, self.bind_port, time.monotonic())
        return check_s if again_s is None else min(again_s, check_s)

    def _on_session_update(self, update: SessionUpdate) -> None:
        """In the control thread. A publisher keeps its session and numbers when it
        registers again, so there is nothing to change."""
        match update:
            case Accepted(reply):
                self._update_grants(reply.vouched)
                self._event_socket.requests.ready_subscribers.expect(reply.listeners)
                if self.session < 0:
                    self.session = self._event_socket.session = reply.session
            case GrantsUpdated(vouched):
                self._update_grants(vouched)
            case Rejected():
                self._event_socket.refuse_events()

    def _update_grants(self, vouched: Iterable[Vouched]) -> None:
        if self._authenticator is not None:
            self._authenticator.update(vouched)
