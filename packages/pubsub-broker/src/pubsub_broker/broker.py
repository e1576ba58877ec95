"""The broker's public class."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import zmq

from pubsub_broker.config import BrokerConfig, Overflow
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import (
    Attach,
    Departed,
    Detach,
    Effect,
    Joined,
    Send,
)
from pubsub_broker.forwarding.counted import CountingForwarder
from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_broker.forwarding.sockets import RETRY_S
from pubsub_broker.limits.capacity import Capacity, allocate
from pubsub_broker.limits.token_bucket import limits_for
from pubsub_broker.monitoring.event_log import EventLog
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.snapshot_keeper import SnapshotKeeper
from pubsub_broker.transport.connection_guard import ConnectionGuard
from pubsub_broker.transport.control_socket import ControlSocket, ReceivedMessage
from pubsub_broker.transport.request_reader import RequestReader
from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net import addresses
from pubsub_common.net.sockets import Waker, new_context, terminate_context
from pubsub_common.protocol.events import SESSION_BITS
from pubsub_common.protocol.messages import Disconnect, Heartbeat, Register, Request

if TYPE_CHECKING:
    from pubsub_broker.security.authenticator import Authenticator
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# The longest wait in one go. A signal that comes just before a wait does not end it,
# so a handler that calls `stop` would be run after it.
_MAX_WAIT_S: Final = 0.5
# Who knows a client's session can speak in its name, so nobody may guess the next one.
_random: Final = random.SystemRandom()


class Broker:
    """Registers publishers and subscribers and brings them together.

    Centralized, it forwards events; decentralized, it tells subscribers where the
    publishers are and events do not pass through it.

    With ``indefinite`` it runs until `stop`. Else it ends after ``max_event_count``
    events: events forwarded when centralized, so no subscriber receives more than
    that; clients that came or went when decentralized.

    Use `configure`, `event_loop`, `disconnect`, or a ``with`` block around the loop.
    All methods belong to one thread, except `stop` and `disconnect`.
    """

    def __init__(
        self,
        centralized: bool = False,
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        *,
        bind: str | None = None,
        port: int = defaults.CONTROL_PORT,
        lease_s: float = defaults.LEASE_S,
        forwarders: int = 1,
        queue_limit: int = defaults.QUEUE_LIMIT,
        linger_s: float = defaults.LINGER_S,
        overflow: Overflow = "drop",
        max_clients: int | None = None,
        max_clients_per_address: int | None = None,
        max_registrations_per_second: float = defaults.REGISTRATIONS_PER_SECOND,
        max_topics_per_client: int = defaults.MAX_TOPICS_PER_CLIENT,
        state: str | Path | None = None,
        secure: str | Path | None = None,
    ) -> None:
        """``bind`` is the IP address to serve, of one of this host's interfaces; without
        it, loopback, which only this host reaches.
        ``port`` 0 takes a free one. Topics are spread over ``forwarders`` threads.

        ``overflow`` says what happens to events for a subscriber whose queue of
        ``queue_limit`` messages is full: ``"drop"`` them for this subscriber, or
        ``"block"`` all forwarding until it has room, so that publishers wait.

        ``max_clients`` may be registered at a time; by default 10,000, or for how many
        the open files of this process are enough. Of these ``max_clients_per_address``
        may come from one IP address, by default half of them, but at least 1,000; and
        from one address ``max_registrations_per_second``, after ten times as many at
        once. Each may have ``max_topics_per_client`` topics. ``state`` is a file in which to
        keep who is there, so that after a restart the status can tell who is missing.

        ``secure`` is a folder of keys as ``pubsub-broker keygen`` makes it: then only
        the clients that are enrolled in it can connect, encrypted, and do what its
        policy lets them. Changes of the folder hold within a second.

        Raises:
            ConfigError: an argument cannot work.
        """
        self._config = BrokerConfig(
            centralized=centralized,
            indefinite=indefinite,
            max_event_count=max_event_count,
            bind=bind,
            port=port,
            lease_s=lease_s,
            forwarders=forwarders,
            queue_limit=queue_limit,
            linger_s=linger_s,
            overflow=overflow,
            max_clients=max_clients,
            max_clients_per_address=max_clients_per_address,
            max_registrations_per_second=max_registrations_per_second,
            max_topics_per_client=max_topics_per_client,
            state=state,
            secure=secure,
        )
        self._config.validate()
        self.centralized = centralized
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.port = port
        self.event_count = 0
        self._authenticator: Authenticator | None = None
        self._audit = AuditLog(_log)
        self.address = ""
        self._stopping = False
        # The thread of `event_loop`, while there is one.
        self._loop_thread: threading.Thread | None = None
        self._loop_ended = threading.Event()
        self._configured = False
        self._allocated_ports: set[int] = set()
        self._snapshot_keeper: SnapshotKeeper | None = None
        self._event_log = EventLog()
        self._changes: list[Attach | Detach] = []
        self._request: tuple[ReceivedMessage, Request] | None = None

    # Set-up and end

    def configure(self) -> None:
        """Bind the control port and, centralized, set up forwarding.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
            ConfigError: the folder of keys or the file of the state cannot be used.
        """
        config = self._config
        self.address = config.bind or defaults.LOOPBACK
        if config.state:
            self._snapshot_keeper = SnapshotKeeper(config.state)
        capacity = allocate(
            config.max_clients,
            config.max_clients_per_address,
            forwarders=config.forwarder_count,
            secure=config.secure is not None,
        )
        if config.secure is not None:
            from pubsub_broker.security.authenticator import Authenticator

            self._authenticator = Authenticator(config.secure, self._audit)
        self._waker = Waker()
        self._context = new_context(capacity.sockets)
        if config.forwarder_count:
            self._context.set(zmq.IO_THREADS, 2)  # before there is any socket
        pair = None
        if self._authenticator is not None:
            self._authenticator.open(self._context)
            pair = self._authenticator.pair
        self._control_socket = ControlSocket(self._context, pair)
        self._connection_guard = ConnectionGuard(
            self._control_socket.socket,
            limits_for(
                capacity.per_address,
                config.max_registrations_per_second,
                config.lease_s,
            ),
            secure=pair is not None,
        )
        self._forwarder_pool = ForwarderPool(
            self._context,
            count=config.forwarder_count,
            threaded=self.indefinite,
            queue_limit=config.queue_limit,
            overflow=config.overflow,
            on_failure=self._waker.wake,
            authenticator=self._authenticator,
        )
        # Looked up at each call: programs may replace `send`.
        self._counting_forwarder = CountingForwarder(
            self._forwarder_pool, lambda topic: self.send(topic)
        )
        self._core = self._new_core(capacity)
        self._request_reader = RequestReader(
            self._control_socket, self._connection_guard, self._core, self._perform
        )
        self._configured = True
        try:
            self.port = self._connection_guard.port = self._control_socket.bind(
                self.address, self.port
            )
            self._allocated_ports.add(self.port)
            self.update_send_socket()
            # After the port is ours: another broker with these options is still there
            # if it is not, and the file is that one's.
            if self._snapshot_keeper is not None:
                self._snapshot_keeper.begin(self._core, time.monotonic())
        except BaseException:
            self.disconnect()
            raise
        self._watch()
        security = (
            None if self._authenticator is None else self._authenticator.describe()
        )
        self._event_log.started(self._core.model, self.address, self.port, security)

    def _watch(self) -> None:
        """Have the loop woken by what comes in."""
        self._poller = zmq.Poller()
        self._poller.register(self._waker.fd, zmq.POLLIN)
        self._monitors = (self._connection_guard, *self._forwarder_pool.monitors)
        for monitor in self._monitors:
            self._poller.register(monitor.socket, zmq.POLLIN)
        self._counting_forwarder.register(self._poller)

    def _new_core(self, capacity: Capacity) -> BrokerCore:
        return BrokerCore(
            "centralized" if self.centralized else "decentralized",
            MemoryRegistry(self._config.lease_s),
            epoch=_random.getrandbits(SESSION_BITS),
            lease_s=self._config.lease_s,
            new_session=lambda: _random.getrandbits(SESSION_BITS),
            ports=self._forwarder_pool.ports_of,
            forwarded=self._forwarded,
            clock_ns=time.time_ns,
            now=time.monotonic(),
            max_clients=capacity.clients,
            grants=None if self._authenticator is None else self._authenticator.grants,
            max_from_origin=capacity.per_address,
            max_topics=self._config.max_topics_per_client,
        )

    def get_host_address(self) -> str:
        """This host's IP address: the one given, a Mininet host's own, or loopback.
        What is served is `address`: loopback, unless another was given."""
        return self._config.bind or addresses.host_address()

    def get_clear_port(self) -> int:
        """A TCP port of this host that is free and that this broker has not handed
        out before."""
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((self.address or self.get_host_address(), 0))
                port: int = probe.getsockname()[1]
            if port not in self._allocated_ports:
                self._allocated_ports.add(port)
                return port

    def own_keys(self) -> ClientKeys | None:
        """What to ask this broker for its status with; None: it is not secure."""
        return None if self._authenticator is None else self._authenticator.own_keys()

    def stop(self) -> None:
        """End `event_loop` soon. For any thread and for signal handlers."""
        self._stopping = True
        if self._configured:
            self._waker.wake()

    def disconnect(self) -> None:
        """Say goodbye to clients, let accepted events go out within the linger time,
        and close everything. Calling it again does nothing. An `event_loop` that still
        runs in another thread is ended before."""
        if not self._configured:
            return
        if self._loop_thread not in (None, threading.current_thread()):
            self.stop()
            self._loop_ended.wait()
        self._configured = False
        until = time.monotonic() + self._config.linger_s
        self._connection_guard.close()
        try:
            self._perform(self._core.farewell())
            self._forwarder_pool.close(until)
        except BaseException:
            # A thread that does not answer has sockets that nobody can close; ending
            # their context would wait for them for ever.
            self._control_socket.close(0.0)
            raise
        else:
            self._control_socket.close(self._config.linger_s)
            terminate_context(self._context, until - time.monotonic())
        finally:
            self._waker.close()
            if self._snapshot_keeper is not None:
                self._snapshot_keeper.close(time.monotonic())

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

    # The loop

    def event_loop(self) -> None:
        """Serve until `stop`, or until ``max_event_count`` events when not
        ``indefinite``."""
        index = 0
        self._loop_thread = threading.current_thread()
        self._loop_ended.clear()
        try:
            while not self._finished():
                self.parse_events(index)
                index += 1
        finally:
            self._loop_thread = None
            self._loop_ended.set()

    def parse_events(self, index: int) -> None:
        """Wait for something to do and do it: control messages, due leases and
        notifications, and events when this broker forwards a limited number.

        ``index`` numbers the call, for the debug log.
        """
        self._counting_forwarder.update(self._poller)
        self._request_reader.update(self._poller, time.monotonic())
        ready = dict(self._poller.poll(self._timeout_ms()))
        if self._waker.fd in ready:
            self._waker.clear()
        for monitor in self._monitors:
            if monitor.socket in ready:
                for address, what in monitor.read_failures(time.monotonic()):
                    self._audit.warn(address, what, what)
        if self._control_socket.socket in ready:
            for received, request in self._request_reader.requests():
                _log.debug("event %d: %s", index, type(request).__name__)
                self._dispatch(received, request)
        for sockets in self._counting_forwarder.socket_sets:
            left = 0 if self._finished() else self.max_event_count - self.event_count
            self.event_count += self._counting_forwarder.forward(sockets, left)
        now = time.monotonic()
        if self._authenticator is not None:
            self._apply_key_changes(self._authenticator, now)
        effects = self._core.tick(now)
        self._count_registration(effects)
        self._perform(effects)
        self.update_receive_socket()
        self._forwarder_pool.check()
        self._event_log.tick(now)
        self._connection_guard.tick(now)
        self._event_log.report_stalled(self._forwarder_pool.held(), now)
        if self._snapshot_keeper is not None:
            self._snapshot_keeper.tick(now)

    def _finished(self) -> bool:
        return self._stopping or (
            not self.indefinite and self.event_count >= self.max_event_count
        )

    def _timeout_ms(self) -> int:
        now = time.monotonic()
        deadlines = [
            self._core.next_deadline(),
            self._forwarder_pool.next_deadline(),
            self._connection_guard.next_deadline(),
            self._request_reader.next_deadline(now),
        ]
        if self._counting_forwarder.held():
            deadlines.append(now + RETRY_S)
        due = min((at for at in deadlines if at is not None), default=now + _MAX_WAIT_S)
        return round(min(max(0.0, due - now), _MAX_WAIT_S) * 1000) + 1

    # Control

    def register_sub(self) -> None:
        """Register the subscriber whose request is being handled: answer it with
        the topic ports (centralized) or the publishers of its topics."""
        self._handle()

    def register_pub(self) -> None:
        """Register the publisher whose request is being handled, and let the
        subscribers of its topics know."""
        self._handle()

    def disconnect_sub(self, msg: Disconnect) -> None:
        """Forget the subscriber that says goodbye with ``msg``."""
        self._disconnect_client(msg)

    def disconnect_pub(self, msg: Disconnect) -> None:
        """Forget the publisher that says goodbye with ``msg``, and let the
        subscribers of its topics know."""
        self._disconnect_client(msg)

    def notify_subscribers(
        self,
        topics: Iterable[str],
        pub_address: str | None = None,
        sub_id: int | None = None,
    ) -> None:
        """Tell the subscribers of ``topics`` now about the publishers that came or
        went, instead of after the short time in which the broker collects such news.

        ``sub_id`` limits it to the subscriber of this session. ``pub_address`` is
        for the log: what a subscriber is told is always all that it does not know.
        """
        _log.debug("notifying subscribers of %s about %s", topics, pub_address)
        self._perform(self._core.flush(topics, sub_id))

    def _dispatch(self, received: ReceivedMessage, request: Request) -> None:
        """Do what is requested, by the method that programs know for it."""
        self._request = (received, request)
        match request:
            case Register(role="subscriber"):
                self.register_sub()
            case Register():
                self.register_pub()
            case Disconnect():
                self._dispatch_disconnect(request)
            case _:
                self._handle()
        self._request = None

    def _dispatch_disconnect(self, request: Disconnect) -> None:
        if self._core.role_of(request.session) == "publisher":
            self.disconnect_pub(request)
        else:
            self.disconnect_sub(request)

    def _handle(self) -> None:
        if self._request is None:
            raise PubSubError("no request is being handled")
        received, request = self._request
        effects = self._core.handle(
            received.peer,
            request,
            time.monotonic(),
            received.key,
            origin=received.address,
        )
        if not isinstance(request, Heartbeat):
            self._count_registration(effects)
        self._perform(effects)

    def _disconnect_client(self, msg: Disconnect) -> None:
        received = self._request[0] if self._request else ReceivedMessage(b"", b"")
        effects = self._core.disconnect(
            received.peer, msg, time.monotonic(), received.key
        )
        self._count_registration(effects)
        self._perform(effects)

    def _apply_key_changes(self, authenticator: Authenticator, now: float) -> None:
        """Take in who was enrolled or revoked, and be done with those who were."""
        changed = authenticator.poll_changes(now)
        if changed is not None:
            self._perform(self._core.recheck_permissions(changed, now))
            self._forwarder_pool.disconnect_subscribers(changed)
            removed = {key for key in changed if not authenticator.grants.allows(key)}
            self._control_socket.disconnect_later(removed, now)
        self._control_socket.tick(now)

    def _count_registration(self, effects: Iterable[Effect]) -> None:
        if not self.centralized:
            self.event_count += sum(
                isinstance(effect, Joined | Departed) for effect in effects
            )

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self._control_socket.send(peer, message)
                case Attach() | Detach():
                    self._forwarder_pool.prepare(effect)
                    self._changes.append(effect)
                case _:
                    self._event_log.write(effect, time.monotonic())

    # Forwarding (centralized)

    def update_send_socket(self) -> list[int]:
        """Set up the sockets from which events are forwarded, if this broker
        forwards and has not done so; returns their ports.

        Raises:
            ConfigError: no port could be bound.
        """
        self._forwarder_pool.open(self.address, self.get_clear_port)
        return list(self._forwarder_pool.ports)

    def update_receive_socket(self) -> None:
        """Connect to publishers that registered and disconnect from those that left
        (after a grace time, so that what they sent last still arrives)."""
        changes, self._changes = self._changes, []
        self._forwarder_pool.apply(changes)

    def send(self, topic: str) -> bool:
        """Forward the event at hand to the subscribers of ``topic``; False when no
        event of this topic is at hand. Only a broker with an event limit has events
        at hand: else libzmq's proxy forwards them in C, faster and uncounted."""
        return self._counting_forwarder.send(topic)

    def _forwarded(self) -> int:
        if self._forwarder_pool.threaded:
            return self._forwarder_pool.forwarded()
        return self.event_count if self.centralized else 0
