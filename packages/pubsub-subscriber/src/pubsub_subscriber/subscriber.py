"""The subscriber class for programs that use threads.

The user's thread receives (`pubsub_subscriber.receiving.receiver`). The control thread learns of
publishers and connects the sockets to them, under each socket's lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import msgspec

from pubsub_common import defaults, validation
from pubsub_common.client.clock_offset import SAME_CLOCK
from pubsub_common.client.control_client import ControlClient, client_keys
from pubsub_common.client.session import HeartbeatInputs, Identity
from pubsub_common.client.session_updates import (
    Accepted,
    PublishersUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import ConfigError, NotReady, PubSubError
from pubsub_common.files import check_writable
from pubsub_common.measurement.clocks import clock_ns
from pubsub_common.measurement.latency_file import write_latencies
from pubsub_common.measurement.latency_histogram import LatencyHistogram
from pubsub_common.net import addresses
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.net.sockets import endpoint
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.batches import Batch
from pubsub_common.protocol.endpoints import broker_endpoint, validate_host
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Model, PublisherInfo
from pubsub_common.protocol.sequence import Counts, Gap
from pubsub_common.protocol.wildcards import validate_subscriptions
from pubsub_subscriber.connections.direct import (
    MAX_SOCKETS,
    DirectConnections,
    SecureDirectConnections,
    raise_open_file_limit,
)
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.connections.via_broker import BrokerConnections
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.measurement.latency_recorder import LatencyRecorder
from pubsub_subscriber.receiving.fast_path import FastPath
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.receiver import Receiver

_log = logging.getLogger(__name__)

# How often the ready handshake is repeated while replies are missing.
_REPEAT_S: Final = 1.0

Start = Literal["now", "history"]


class Subscriber:
    """Receives the events of its topics, from the broker or from the publishers.

    Iterate over it for events, or call `notify`, which receives until
    ``max_event_count`` (or `stop` when ``indefinite``) and then writes the latencies
    to ``filename``, if there is one.

    Use `configure`, receive, `disconnect`; or a ``with`` block. All methods belong to
    one thread, except `stop`.
    """

    def __init__(
        self,
        filename: str | None = None,
        broker_address: str = defaults.LOOPBACK,
        topics: Iterable[str] = (),
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        centralized: bool = False,
        *,
        broker_port: int | None = None,
        address: str | None = None,
        clock: str = "realtime",
        connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S,
        queue_limit: int = defaults.QUEUE_LIMIT,
        on_event: Callable[[Event], None] | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        recover: bool = False,
        start: Start = "now",
        recover_timeout_s: float = defaults.RECOVER_TIMEOUT_S,
        on_publisher: Callable[[PublisherInfo, bool], None] | None = None,
        keys: str | Path | None = None,
    ) -> None:
        """``broker_address`` is the broker's IPv4 address or name, also with its port,
        ``HOST:PORT``; ``broker_port`` is 5555 without either. A name is looked up by
        `configure`, once.

        ``on_event`` is called by `notify` for each event, ``on_gap`` for each run
        of events that is known to be lost.

        With ``recover`` events that are missing are asked for, and come in order:
        before later ones of the same publisher and topic. Publishers must keep a history
        for that; what they do not have, and what does not come within
        ``recover_timeout_s`` seconds, is lost. ``start`` "history" begins each stream
        with the oldest event that its publisher still has; it implies ``recover``.

        ``on_publisher`` is called when a publisher of these topics joins (True) or
        leaves (False), in the thread that talks to the broker; it must not wait. When it
        raises, this subscriber is finished.

        ``keys`` is the file of this client's keys, for a secure broker. Nothing is taken
        from the environment: ``PUBSUB_KEYS`` and ``PUBSUB_BROKER`` are for the programs.

        Raises:
            ConfigError: an argument cannot work. ``filename`` needs a limited number
                of events, because it is written at the end, and must be writable.
        """
        if filename is not None and indefinite:
            raise ConfigError(
                "a file is written when all events have arrived, which never happens "
                "to an indefinite subscriber: give it a max_event_count or no file"
            )
        validation.at_least("max_event_count", max_event_count)
        validation.queue_limit(queue_limit)
        if start not in ("now", "history"):
            raise ConfigError(f"start is 'now' or 'history', not {start!r}")
        validation.seconds("recover_timeout_s", recover_timeout_s, zero=False)
        if filename is not None:
            check_writable(filename)
        self.filename = filename
        self.broker_address, self._broker_port = broker_endpoint(
            broker_address, broker_port
        )
        self._broker_ip = ""  # found by `configure`
        self.topics = validate_subscriptions(topics)
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.centralized = centralized
        self.latencies = LatencyHistogram()
        self.session = -1
        self._given_address = validate_host(address) if address else None
        self._clock = clock
        self._now_ns = clock_ns(clock)
        self._connect_timeout_s = connect_timeout_s
        self._queue_limit = queue_limit
        self._on_event = on_event
        self._on_gap = on_gap
        self._recorder = LatencyRecorder()
        recovering = recover or start == "history"
        self._core = SubscriberCore(
            self.topics,
            recover_timeout_s=recover_timeout_s if recovering else None,
            max_held=queue_limit,
            from_start=start == "history",
        )
        self._recovering = recovering
        self._keys = client_keys(keys)
        self._sockets = SocketSet()
        self._performer = Performer(
            self._core,
            self._sockets,
            self._new_connections,
            on_gap=on_gap,
            on_publisher=on_publisher,
        )
        self._fast_path = FastPath(self._performer, self._now_ns)
        self._receiver = Receiver(
            self._fast_path,
            self._performer,
            None if indefinite else max_event_count,
            self._check_usable,
        )
        self._configured = False
        self._control: ControlClient | None = None

    # Set-up and end

    def configure(self) -> None:
        """Register with the broker and connect to it or to the publishers.

        Raises:
            PubSubError: the broker's name is not known.
            BrokerUnreachable: no broker answered in time.
            HandshakeFailed: the broker and this subscriber do not agree on keys.
            RegistrationRefused: the broker will not have this subscriber.
            NotReady: `stop` was called before the broker answered.
        """
        separate = self._keys is not None and not self.centralized
        if separate:
            raise_open_file_limit()
        self._context = new_context(MAX_SOCKETS if separate else None)
        self._receiver.waker = Waker()
        self._configured = True
        try:
            self._broker_ip = addresses.resolve(self.broker_address)
            self.register_sub()
        except BaseException:
            self.disconnect()
            raise

    def register_sub(self) -> None:
        """Register with the broker, and stay registered until `disconnect`.

        Raises:
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this subscriber.
            NotReady: `stop` was called before the broker answered.
        """
        model: Model = "centralized" if self.centralized else "decentralized"
        self._control = ControlClient(
            self._context,
            endpoint(self._broker_ip, self._broker_port),
            Identity(
                "subscriber", self.topics, self.get_host_address(), self._clock, model
            ),
            self._on_session_update,
            on_wake=self._performer.check_connections,
            keys=self._keys,
            heartbeat=HeartbeatInputs(
                lost=self._performer.lost, latency=self._receiver.latency
            ),
        )
        self._control.start()
        self._control.wait_registered(
            self._connect_timeout_s, stopped=lambda: self._receiver.stopping
        )

    def setup_broker_topic_port_connections(
        self, received_message: Mapping[str, int]
    ) -> None:
        """Centralized: listen to the broker, with one socket for each port it
        forwards our topics from. ``received_message`` maps topics to ports."""
        self._performer.listen(received_message)

    def setup_notification_polling(self, notify_port: int = 0) -> None:
        """Decentralized: get ready to listen to publishers as the broker names them.

        Its notifications come on the control connection, so ``notify_port``, a
        separate port in earlier versions, is not used.
        """
        self._performer.subscribe()

    def setup_publisher_direct_connections(
        self, notification: Iterable[PublisherInfo | Mapping[str, Any]] | None = None
    ) -> None:
        """Decentralized: connect to the publishers that the broker has named."""
        self._performer.connect(
            msgspec.convert(item, PublisherInfo, from_attributes=True)
            for item in notification or ()
        )

    def parse_notification(self) -> None:
        """Take in what the broker has told about publishers since the last call; in
        the decentralized model, connect to the new ones."""
        self._performer.apply_updates()

    def get_host_address(self) -> str:
        """This host's IP address as the broker sees it."""
        return self._given_address or addresses.host_address(
            self._broker_ip or addresses.resolve(self.broker_address)
        )

    def stop(self) -> None:
        """End iterations, `notify` and waits soon; what has arrived until then is
        still delivered, as far as it can be within a second. For any thread and for
        signal handlers."""
        self._receiver.stop()

    def disconnect(self) -> None:
        """Leave the system, telling the broker. Again: does nothing."""
        if not self._configured:
            return
        self._configured = False
        if self._control is not None:
            self._control.close({})
        self._sockets.close_all()
        terminate_context(self._context)
        waker, self._receiver.waker = self._receiver.waker, None
        if waker is not None:
            waker.close()

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

    # Receiving

    @property
    def event_count(self) -> int:
        """How many events were delivered."""
        return self._receiver.event_count

    @property
    def malformed_count(self) -> int:
        """How many messages were not events."""
        return self._core.malformed_count

    def __iter__(self) -> Iterator[Event]:
        """Events as they arrive, until ``max_event_count`` or, when ``indefinite``,
        until `stop`.

        Raises:
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        return chain.from_iterable(self._receiver.bursts())

    def receive(self, timeout_s: float | None = None) -> Event | None:
        """The next event, waiting for it; None after ``timeout_s`` seconds, after
        `stop`, or when ``max_event_count`` events have been received.

        Raises:
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return self._receiver.receive(deadline)

    def parse_publish_event(self, topic: str = "") -> Event | None:
        """The next event that has arrived, of ``topic`` if one is named, without
        waiting; None when there is none. Events of other topics stay for later."""
        return self._receiver.next_arrived(topic)

    def batches(self) -> Iterator[Batch]:
        """Events as they arrive, as iteration gives them, but those that were published
        together together. An event that came alone is a batch of one.

        Raises:
            PubSubError: as iteration does.
        """
        return self._receiver.batches()

    def notify(self) -> None:
        """Receive events until there are ``max_event_count``, or until `stop`; write
        their latencies to ``filename`` at the end, whatever ended it.

        Raises:
            OSError: the file could not be written.
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        record = self._recorder.add if self.filename is not None else None
        try:
            for event in self:
                if record is not None:
                    record(event)
                self.latencies.add(event.latency_ns)
                if self._on_event is not None:
                    self._on_event(event)
        finally:
            self.write_stored_messages()

    def write_stored_messages(self) -> None:
        """Write the latencies that `notify` recorded to ``filename``; without one, do
        nothing.

        Raises:
            OSError: the file could not be written.
        """
        if self.filename is not None:
            write_latencies(Path(self.filename), self._recorder.rows())

    def wait_until_ready(self, timeout_s: float | None = None) -> None:
        """Wait until every publisher of our topics that the broker knows has answered:
        all it publishes from here on arrives. Events that arrive meanwhile are buffered.

        Raises:
            NotReady: some had not answered after ``timeout_s`` seconds, or `stop`
                was called.
            PubSubError: this subscriber is not connected, or the broker refuses it
                since it restarted.
        """
        for until in self._ready_steps(timeout_s):
            if until is not None:
                self._receiver.wait(until, self._receiver.buffered)
        self._performer.report()

    def _ready_steps(self, timeout_s: float | None) -> Iterator[float | None]:
        """The steps of `wait_until_ready`: at each the caller is to wait for frames, but
        not longer than until the given time; None: no need to wait."""
        self._check_usable()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        repeat_at = time.monotonic() + _REPEAT_S
        while self._performer.awaited_replies():
            arrived = self._receiver.fetch(self._receiver.buffered)
            if not self._performer.awaited_replies():
                return
            now = time.monotonic()
            if self._receiver.stopping or (deadline is not None and now >= deadline):
                raise NotReady(
                    f"{self._performer.awaited_replies()} replies are missing"
                )
            if now >= repeat_at:
                repeat_at = now + _REPEAT_S
                arrived |= self._performer.repeat_ready_requests()
            if arrived:
                yield None
            else:
                yield repeat_at if deadline is None else min(deadline, repeat_at)

    def counts(self) -> Counts:
        """How many events were received, lost, duplicated and reordered so far."""
        counts = self._performer.counts()
        counts.received -= self._receiver.buffered_count()
        return counts

    def latency_error_ns(self) -> tuple[int, int] | None:
        """How far the clocks of this host and of the publishers are apart: the true
        latency is the measured one plus something from this range, in nanoseconds.
        (0, 0) where all have one clock; None while it is not known."""
        if self._control is None:
            return None
        ours = self._control.clock_offset()
        if ours == SAME_CLOCK:
            return 0, 0
        theirs = self._control.publishers_clock()
        if ours is None or theirs is None:
            return None
        return (
            ours.offset_ns - ours.bound_ns - theirs.high_ns,
            ours.offset_ns + ours.bound_ns - theirs.low_ns,
        )

    # Inside: the user's thread

    def _check_usable(self) -> None:
        if self._control is not None and self._control.error is not None:
            raise self._control.error
        if not self._configured:
            raise PubSubError("this subscriber is not connected: call configure first")

    # Inside: the control thread

    def _on_session_update(self, update: SessionUpdate) -> None:
        match update:
            case Accepted(reply):
                self.session = reply.session
                self._performer.register(reply)
            case PublishersUpdated():
                self._performer.update(update)
                self.parse_notification()
            case Rejected():
                self._receiver.wake()

    # Inside: sockets

    def _new_connections(self, model: Model) -> Connections:
        if model == "centralized":
            return BrokerConnections(
                self._sockets, self._new_sub_socket, self._broker_ip
            )
        if self._keys is None:
            return DirectConnections(self._sockets, self._new_sub_socket)
        return SecureDirectConnections(
            self._sockets,
            self._new_sub_socket,
            self._keys.pair,
            lambda session: session in self._core.streams.departures,
        )

    def _new_sub_socket(self, topics: Iterable[str]) -> SubSocket:
        sub_socket = SubSocket(
            self._context,
            tuple(topics),
            self.session,
            self._queue_limit,
            positions=self._recovering,
        )
        if self.centralized and self._keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(
                sub_socket.socket, self._keys.pair, self._keys.broker
            )
        return sub_socket
