"""The publisher as a program part: sockets around the protocol. Shell.

Theory of operation
-------------------
Events leave in the caller's thread, straight into the XPUB socket. What comes in on
that socket are subscriptions, among them the ready subscriptions of the handshake
(see `pubsub_common.events`), which must be answered even while nothing is published.
So the control thread waits for the socket's file descriptor and drains it.

A send may swallow the wake-up of the file descriptor (see `pubsub_common.sockets`).
Therefore the sending thread drains too: after a send, if it has not done so for a
millisecond. Within that millisecond it leaves a note, and the control thread looks
after at most `_RECHECK_S`, again and again while there are new notes. A slow publisher
thus never wakes its control thread, and a fast one has it look 50 times a second,
whatever its rate.

Sequence numbers are taken under the socket's lock together with the send, so that a
ready answer never promises an event that has already been numbered.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Literal, Self

import zmq

from pubsub_common import addresses, arguments, defaults
from pubsub_common.clock import clock_ns
from pubsub_common.control import ControlClient
from pubsub_common.errors import ConfigError, NotReady, PubSubError
from pubsub_common.events import (
    ReadyQuestion,
    encode_body,
    encode_ready_answer,
    parse_ready_question,
    topic_prefix,
)
from pubsub_common.session import Identity, Joined, SessionEvent
from pubsub_common.sockets import (
    DataSocket,
    bind_first_free,
    end_context,
    endpoint,
    new_context,
)
from pubsub_common.topics import validate_topic, validate_topics
from pubsub_publisher.schedule import Schedule

_log = logging.getLogger(__name__)

Overflow = Literal["drop", "block"]
OnSent = Callable[[str, int, int, int], None]

_DRAIN_EVERY_NS: Final = 1_000_000
_RECHECK_S: Final = 0.02
# A blocked send lets go of the socket this often, for the control thread's sake.
_BLOCKED_MS: Final = 20
_YIELD_S: Final = 0.0005
# Sleeping ends some tens of microseconds late; the rest before an event is spun.
_SPIN_NS: Final = 100_000
# Waits go in turns of this length, because `stop` is called in signal handlers, which
# may interrupt a thread that holds the lock of whatever it would have to notify.
_TURN_S: Final = 0.2
_MAX_PAYLOAD_BYTES: Final = 2**30


class _Topic:
    """What one topic needs at every event, ready made."""

    __slots__ = ("name", "next_sequence", "prefix", "sent_ns")

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = topic_prefix(name)
        self.next_sequence = 0
        self.sent_ns = 0


class Publisher:
    """Publishes events on its topics to whoever connects: subscribers, or the
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
        broker_port: int = defaults.CONTROL_PORT,
        address: str | None = None,
        clock: str = "realtime",
        connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S,
        overflow: Overflow = "drop",
        queue_limit: int = defaults.QUEUE_LIMIT,
        payload_bytes: int = defaults.PAYLOAD_BYTES,
        linger_s: float = defaults.LINGER_S,
        on_sent: OnSent | None = None,
    ) -> None:
        """``sleep_period`` is in seconds; 0 publishes as fast as possible.

        ``bind_port`` is the first port to try; one in use is passed over.
        ``address`` is this host's IP address, found by itself when left out.
        ``overflow`` says what happens to events for a connection whose queue of
        ``queue_limit`` events is full: ``drop`` them, or ``block`` until it is not.
        ``payload_bytes`` is the size of generated payloads. ``on_sent`` is called by
        `publish` after each event, with topic, sequence number, the time at which it
        was due and the time at which it was sent, in nanoseconds of the clock; it is
        exact while nobody else publishes on the topic.

        Raises:
            ConfigError: an argument cannot work.
        """
        arguments.at_least("max_event_count", max_event_count)
        if not 0 <= sleep_period < float("inf"):
            raise ConfigError(f"sleep_period must be 0 or more: {sleep_period}")
        arguments.port("bind_port", bind_port)
        arguments.port("broker_port", broker_port)
        if overflow not in ("drop", "block"):
            raise ConfigError(f"overflow is 'drop' or 'block', not {overflow!r}")
        arguments.queue_limit(queue_limit)
        arguments.in_range("payload_bytes", payload_bytes, 0, _MAX_PAYLOAD_BYTES)
        self.broker_address = addresses.validate_host(broker_address)
        self.topics = validate_topics(topics)
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.sleep_period = sleep_period
        self.bind_port = bind_port
        self.address = ""
        self.session = -1
        self._broker_port = broker_port
        self._given_address = addresses.validate_host(address) if address else None
        self._clock = clock
        self._now_ns = clock_ns(clock)
        self._connect_timeout_s = connect_timeout_s
        self._overflow = overflow
        self._queue_limit = queue_limit
        self._payload_bytes = payload_bytes
        self._linger_s = linger_s
        self._on_sent = on_sent
        self._topics = {name: _Topic(name) for name in self.topics}
        self._stopping = False
        # Under "block" a waiting event lets go of the socket; this lock keeps
        # another thread's event from overtaking it.
        self._order = threading.Lock()
        self._configured = False
        self._control: ControlClient | None = None
        self._drain_at_ns = 0
        # Under the socket's lock: a send was not followed by a drain; the control
        # thread will look within `_RECHECK_S`.
        self._undrained = False
        self._watched = False
        # Ready topics seen by subscriber session, and the sessions that are ready.
        self._asking: dict[int, set[str]] = {}
        self._subscribers: set[int] = set()
        # Ready subscriptions to answer, as soon as we have a session to answer with.
        self._unanswered: list[ReadyQuestion] = []
        self._subscribers_changed = threading.Condition()

    # Set-up and end

    def configure(self) -> None:
        """Bind the data port and register with the broker.

        Raises:
            ConfigError: no port is free, or the address is not this host's.
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
        """
        self._context = new_context()
        self._data = DataSocket(self._context, zmq.XPUB, self._queue_limit)
        self._configured = True
        try:
            if self._overflow == "block":
                self._data.socket.setsockopt(zmq.XPUB_NODROP, 1)
                self._data.socket.sndtimeo = _BLOCKED_MS
            self.setup_port_binding()
            self.register_pub()
        except BaseException:
            self.disconnect()
            raise

    def setup_port_binding(self) -> None:
        """Bind the data socket to ``bind_port``, or the first free port after it;
        `bind_port` and `address` then say where it is.

        Raises:
            ConfigError: no port is free, or the address is not this host's.
        """
        host = self.get_host_address()
        try:
            port = bind_first_free(self._data.socket, host, self.bind_port)
        except zmq.ZMQError as error:
            raise ConfigError(f"cannot listen on {host}: {error.strerror}") from error
        if port is None:
            raise ConfigError(f"no free port on {host} from {self.bind_port} on")
        if port != self.bind_port:
            _log.info("port %d is in use, taking %d", self.bind_port, port)
        self.bind_port = port
        self.address = f"{host}:{port}"

    def register_pub(self) -> None:
        """Register with the broker, and stay registered until `disconnect`.

        Raises:
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
        """
        self._control = ControlClient(
            self._context,
            endpoint(self.broker_address, self._broker_port),
            Identity("publisher", self.topics, self.address, self._clock),
            self._on_session_event,
            service=self._serve_subscriptions,
            watch_fd=self._data.fd,
        )
        self._control.start()
        self.session = self._control.wait_registered(
            self._connect_timeout_s, stopped=lambda: self._stopping
        ).session
        _log.info("%s publishes %s", self.address, ", ".join(self.topics))

    def get_host_address(self) -> str:
        """This host's IP address as the broker and subscribers reach it."""
        return self._given_address or addresses.host_address(self.broker_address)

    def stop(self) -> None:
        """End `publish` and waits soon. For any thread and for signal handlers."""
        self._stopping = True

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
        with self._data.lock:  # behind every event that another thread is sending
            self._configured = False
        if self._control is not None:
            self._control.close(self._next_sequences())
        self._data.close(self._linger_s)
        end_context(self._context)

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
        count = 0
        while not self._stopping:
            if not self.indefinite and count == self.max_event_count:
                break
            if not self._wait_until(schedule.due_ns(count)):
                break
            topic, payload = self._generate(count)
            if not self._publish(topic, payload):
                break
            if self._on_sent is not None:
                due_ns = schedule.due_ns(count)
                self._on_sent(
                    topic.name, topic.next_sequence - 1, due_ns, topic.sent_ns
                )
            count += 1
        return count

    def generate_publish_event(self, iteration: int = 0) -> bytes:
        """The frame of a generated event, stamped now. ``iteration`` chooses the
        topic: number ``iteration % len(topics)``.

        It takes the topic's next sequence number, so a frame that is not sent is a
        loss to subscribers.
        """
        topic, payload = self._generate(iteration)
        with self._data.lock if self._configured else contextlib.nullcontext():
            frame = self._encode(topic, payload, self._now_ns())
            topic.next_sequence += 1
        return frame

    def publish_event(self, topic: str, payload: bytes) -> None:
        """Publish ``payload`` on ``topic``, one of this publisher's topics.

        Raises:
            ConfigError: the topic is not one of them, or the payload is not bytes.
            PubSubError: this publisher is not connected, was stopped while the
                queue was full (``overflow="block"``), or the broker refuses it. The
                event then was not published.
        """
        state = self._topics.get(topic)
        if state is None:
            validate_topic(topic)
            raise ConfigError(
                f"{topic!r} is not one of this publisher's topics: "
                + ", ".join(self.topics)
            )
        if not isinstance(payload, bytes):
            raise ConfigError(f"the payload is bytes, not {type(payload).__name__}")
        self._check_usable()
        if not self._publish(state, payload):
            raise PubSubError("this publisher was stopped before the event could leave")

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
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._subscribers_changed:
            while len(self._subscribers) < count:
                if not self._stopping:
                    self._check_usable()
                left_s = _TURN_S if deadline is None else deadline - time.monotonic()
                if left_s <= 0 or self._stopping:
                    raise NotReady(
                        f"{len(self._subscribers)} of {count} subscribers are ready"
                    )
                self._subscribers_changed.wait(min(left_s, _TURN_S))

    @property
    def subscriber_count(self) -> int:
        """How many subscribers are ready at present."""
        return len(self._subscribers)

    # Inside

    def _check_not_refused(self) -> None:
        if self._control is not None and self._control.error is not None:
            raise self._control.error

    def _check_usable(self) -> None:
        self._check_not_refused()
        if not self._configured:
            raise PubSubError("this publisher is not connected: call configure first")

    def _encode(self, topic: _Topic, payload: bytes, now_ns: int) -> bytes:
        return topic.prefix + encode_body(
            (self.address, self.session, topic.next_sequence, now_ns, payload)
        )

    def _generate(self, iteration: int) -> tuple[_Topic, bytes]:
        topic = self._topics[self.topics[iteration % len(self.topics)]]
        text = f"event {iteration} of {self.address} "
        size = self._payload_bytes
        return topic, text.encode().ljust(size, b".")[:size]

    def _publish(self, topic: _Topic, payload: bytes) -> bool:
        """Stamp and send; False when stopped before the event could be sent."""
        data = self._data
        if self._overflow == "block":
            return self._publish_blocking(topic, payload)
        with data.lock:
            if not self._configured:
                return False
            now_ns = self._now_ns()
            data.socket.send(self._encode(topic, payload, now_ns), zmq.NOBLOCK)
            topic.next_sequence += 1
            topic.sent_ns = now_ns
            self._after_send(now_ns)
        return True

    def _publish_blocking(self, topic: _Topic, payload: bytes) -> bool:
        """As `_publish`, waiting while a subscriber's queue is full. The event is
        stamped once, before the first attempt: the wait is part of its latency."""
        data = self._data
        with self._order:
            stamp_ns = self._now_ns()
            while not self._stopping:
                with data.lock:
                    if not self._configured:
                        break
                    try:
                        data.socket.send(self._encode(topic, payload, stamp_ns))
                    except zmq.Again:
                        self._drain()  # waiting for room swallows wake-ups too
                    else:
                        topic.next_sequence += 1
                        topic.sent_ns = stamp_ns
                        self._after_send(self._now_ns())
                        return True
                # Python's locks are not fair: give the control thread its turn.
                time.sleep(_YIELD_S)
        return False

    def _after_send(self, now_ns: int) -> None:
        """See the theory of operation. The caller holds the lock."""
        if now_ns >= self._drain_at_ns:
            self._drain_at_ns = now_ns + _DRAIN_EVERY_NS
            self._drain()
            return
        self._undrained = True
        if not self._watched:
            self._watched = True
            assert self._control is not None
            self._control.wake()

    def _wait_until(self, due_ns: int) -> bool:
        """Sleep, then spin, until the clock shows ``due_ns``; False when stopped.

        Raises:
            PubSubError: the broker refuses this publisher.
        """
        now_ns = self._now_ns
        self._check_not_refused()
        while (left_ns := due_ns - now_ns()) > _SPIN_NS:
            time.sleep(min((left_ns - _SPIN_NS) / 1e9, _TURN_S))
            if self._stopping:
                return False
            self._check_not_refused()
        while now_ns() < due_ns:
            pass
        return not self._stopping

    def _next_sequences(self) -> dict[str, int]:
        return {name: topic.next_sequence for name, topic in self._topics.items()}

    def _serve_subscriptions(self) -> float | None:
        """Drain subscriptions; in the control thread."""
        with self._data.lock:
            self._drain()
            self._watched = self._undrained or bool(self._unanswered)
            self._undrained = False
            return _RECHECK_S if self._watched else None

    def _drain(self) -> None:
        """Take in subscriptions and answer the ready ones. The caller holds the lock."""
        while (message := self._data.receive()) is not None:
            question = parse_ready_question(message[1:])
            if question is None:
                continue
            self._count_subscriber(question, begins=bool(message[0]))
            # A broker also passes on what its other publishers are asked.
            if message[0] and question.topic in self._topics:
                self._unanswered.append(question)
        if self._unanswered and self.session >= 0:
            self._unanswered = [
                question for question in self._unanswered if not self._answer(question)
            ]

    def _answer(self, question: ReadyQuestion) -> bool:
        """Answer a ready subscription. When the subscriber's queue is full: False under
        the policy "block"; under "drop" the answer is lost, and it asks again."""
        topic, subscriber, topics = question
        answer = encode_ready_answer(
            topic,
            subscriber,
            self.address,
            self.session,
            self._topics[topic].next_sequence,
            topics,
        )
        try:
            self._data.socket.send(answer, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _count_subscriber(self, question: ReadyQuestion, *, begins: bool) -> None:
        """Keep the ready topics of each subscriber that has one of ours among them."""
        topic, session, topics = question
        with self._subscribers_changed:
            seen = self._asking.setdefault(session, set())
            (seen.add if begins else seen.discard)(topic)
            if not seen:
                del self._asking[session]
            if len(seen) >= max(topics, 1) and not seen.isdisjoint(self._topics):
                self._subscribers.add(session)
            else:
                self._subscribers.discard(session)
            self._subscribers_changed.notify_all()

    def _on_session_event(self, event: SessionEvent) -> None:
        """In the control thread. A publisher keeps its session and numbers when it
        registers again, so there is nothing to change."""
        if isinstance(event, Joined) and self.session < 0:
            self.session = event.reply.session
