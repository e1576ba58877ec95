"""The loop of a broker: its sockets and its core, served one turn at a time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

import zmq

from pubsub_broker.config import BrokerConfig
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
from pubsub_common.errors import PubSubError
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.events import SESSION_BITS
from pubsub_common.protocol.messages import Disconnect, Heartbeat, Register, Request

if TYPE_CHECKING:
    from pubsub_broker.security.authenticator import Authenticator
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# The longest wait in one go. A signal that comes just before a wait does not end it,
# so a handler that calls `stop` would be run after it.
_MAX_WAIT_S: Final = 0.5
# With a client's session anyone can send requests in its name, so it must not be
# guessable.
_random: Final = random.SystemRandom()


class Methods(Protocol):
    """The methods of a broker that its loop calls, since programs may replace them."""

    def register_sub(self) -> None: ...

    def register_pub(self) -> None: ...

    def disconnect_sub(self, msg: Disconnect) -> None: ...

    def disconnect_pub(self, msg: Disconnect) -> None: ...

    def update_receive_socket(self) -> None: ...

    def send(self, topic: str) -> bool: ...


class EventLoop:
    """Opens the sockets of a broker, and serves them. All methods belong to one thread,
    except `stop`."""

    def __init__(self, config: BrokerConfig, methods: Methods) -> None:
        self.event_count = 0
        self.stopping = False
        self._config = config
        self._methods = methods
        self._is_open = False
        self._audit = AuditLog(_log)
        self._event_log = EventLog()
        self._authenticator: Authenticator | None = None
        self._snapshot_keeper: SnapshotKeeper | None = None
        # For the forwarders, from `perform` until `apply_changes`.
        self.changes: list[Attach | Detach] = []
        self._request: tuple[ReceivedMessage, Request] | None = None

    # Set-up and end

    def open(self) -> None:
        """Make the sockets and the core.

        Raises:
            ConfigError: the folder of keys or the file of the state cannot be used.
        """
        config = self._config
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
        self.waker = Waker()
        self._context = new_context(capacity.sockets)
        if config.forwarder_count:
            self._context.set(zmq.IO_THREADS, 2)  # before there is any socket
        pair = None
        if self._authenticator is not None:
            self._authenticator.open(self._context)
            pair = self._authenticator.pair
        self.control_socket = ControlSocket(self._context, pair)
        self.connection_guard = ConnectionGuard(
            self.control_socket.socket,
            limits_for(
                capacity.per_address,
                config.max_registrations_per_second,
                config.lease_s,
            ),
            secure=pair is not None,
        )
        self.forwarder_pool = ForwarderPool(
            self._context,
            count=config.forwarder_count,
            threaded=config.indefinite,
            queue_limit=config.queue_limit,
            overflow=config.overflow,
            on_failure=self.waker.wake,
            authenticator=self._authenticator,
        )
        # Looked up at each call: programs may replace `send`.
        self._counting_forwarder = CountingForwarder(
            self.forwarder_pool, lambda topic: self._methods.send(topic)
        )
        self.core = self._new_core(capacity)
        self._request_reader = RequestReader(
            self.control_socket, self.connection_guard, self.core, self.perform
        )
        self._is_open = True

    def bind(self, host: str, port: int) -> int:
        """Bind the control port; returns it.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
        """
        self.connection_guard.port = self.control_socket.bind(host, port)
        return self.connection_guard.port

    def open_forwarders(self, host: str, clear_port: Callable[[], int]) -> list[int]:
        """Bind and start the forwarders that are missing; returns the ports of all."""
        self.forwarder_pool.open(host, clear_port)
        return list(self.forwarder_pool.ports)

    def begin(self, address: str, port: int) -> None:
        """All ports are bound: read the snapshot, and be woken by what comes in."""
        # After the port is ours: another broker with these options is still there
        # if it is not, and the file is that one's.
        if self._snapshot_keeper is not None:
            self._snapshot_keeper.begin(self.core, time.monotonic())
        self._poller = zmq.Poller()
        self._poller.register(self.waker.fd, zmq.POLLIN)
        self._monitors = (self.connection_guard, *self.forwarder_pool.monitors)
        for monitor in self._monitors:
            self._poller.register(monitor.socket, zmq.POLLIN)
        self._counting_forwarder.register(self._poller)
        authenticator = self._authenticator
        security = None if authenticator is None else authenticator.describe()
        self._event_log.started(self.core.model, address, port, security)

    def own_keys(self) -> ClientKeys | None:
        """The keys to ask this broker for its status with; None: it is not secure."""
        return None if self._authenticator is None else self._authenticator.own_keys()

    def stop(self) -> None:
        """Be `finished` from now on. For any thread and for signal handlers."""
        self.stopping = True
        if self._is_open:
            self.waker.wake()

    def close(self) -> None:
        """Send a farewell to clients, let accepted events go out within the linger time,
        and close everything."""
        self._is_open = False
        until = time.monotonic() + self._config.linger_s
        self.connection_guard.close()
        try:
            self.perform(self.core.farewell())
            self.forwarder_pool.close(until)
        except BaseException:
            # A thread that does not answer has sockets that nobody can close; ending
            # their context would wait for them for ever.
            self.control_socket.close(0.0)
            raise
        else:
            self.control_socket.close(self._config.linger_s)
            terminate_context(self._context, until - time.monotonic())
        finally:
            self.waker.close()
            if self._snapshot_keeper is not None:
                self._snapshot_keeper.close(time.monotonic())

    # Turns

    @property
    def finished(self) -> bool:
        """Whether there are to be no more turns."""
        config = self._config
        return self.stopping or (
            not config.indefinite and self.event_count >= config.max_event_count
        )

    def turn(self, index: int) -> None:
        """Wait for something to do and do it. ``index`` is for the debug log."""
        self._counting_forwarder.update(self._poller)
        self._request_reader.update(self._poller, time.monotonic())
        ready = dict(self._poller.poll(self._timeout_ms()))
        if self.waker.fd in ready:
            self.waker.clear()
        for monitor in self._monitors:
            if monitor.socket in ready:
                for address, what in monitor.read_failures(time.monotonic()):
                    self._audit.warn(address, what, what)
        if self.control_socket.socket in ready:
            for received, request in self._request_reader.requests():
                _log.debug("event %d: %s", index, type(request).__name__)
                self._dispatch(received, request)
        for sockets in self._counting_forwarder.socket_sets:
            left = self._config.max_event_count - self.event_count
            self.event_count += self._counting_forwarder.forward(
                sockets, 0 if self.finished else left
            )
        self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        """Do what is due."""
        if self._authenticator is not None:
            self._apply_key_changes(self._authenticator, now)
        effects = self.core.tick(now)
        self._count_clients(effects)
        self.perform(effects)
        self._methods.update_receive_socket()
        self.forwarder_pool.check()
        self._event_log.tick(now)
        self.connection_guard.tick(now)
        self._event_log.report_stalled(self.forwarder_pool.held(), now)
        if self._snapshot_keeper is not None:
            self._snapshot_keeper.tick(now)

    def _timeout_ms(self) -> int:
        now = time.monotonic()
        deadlines = [
            self.core.next_deadline(),
            self.forwarder_pool.next_deadline(),
            self.connection_guard.next_deadline(),
            self._request_reader.next_deadline(now),
        ]
        if self._counting_forwarder.held():
            deadlines.append(now + RETRY_S)
        due = min((at for at in deadlines if at is not None), default=now + _MAX_WAIT_S)
        return round(min(max(0.0, due - now), _MAX_WAIT_S) * 1000) + 1

    # Requests and effects

    def handle(self) -> None:
        """Serve the request that `turn` is at."""
        if self._request is None:
            raise PubSubError("no request is being handled")
        received, request = self._request
        effects = self.core.handle(
            received.peer,
            request,
            time.monotonic(),
            received.key,
            origin=received.address,
        )
        if not isinstance(request, Heartbeat):
            self._count_clients(effects)
        self.perform(effects)

    def disconnect_client(self, request: Disconnect) -> None:
        """Remove a client, also while no request is being handled."""
        received = self._request[0] if self._request else ReceivedMessage(b"", b"")
        effects = self.core.disconnect(
            received.peer, request, time.monotonic(), received.key
        )
        self._count_clients(effects)
        self.perform(effects)

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what the core has decided."""
        for effect in effects:
            match effect:
                case Send(peer, message):
                    self.control_socket.send(peer, message)
                case Attach() | Detach():
                    self.forwarder_pool.prepare(effect)
                    self.changes.append(effect)
                case _:
                    self._event_log.write(effect, time.monotonic())

    def apply_changes(self) -> None:
        """Connect to publishers and disconnect from them, as `perform` has noted."""
        changes, self.changes = self.changes, []
        self.forwarder_pool.apply(changes)

    def send(self, topic: str) -> bool:
        """Forward the event at hand; False when it is not of this topic."""
        return self._counting_forwarder.send(topic)

    def _dispatch(self, received: ReceivedMessage, request: Request) -> None:
        """Serve a request by the broker's method for it, which calls back."""
        self._request = (received, request)
        match request:
            case Register(role="subscriber"):
                self._methods.register_sub()
            case Register():
                self._methods.register_pub()
            case Disconnect():
                if self.core.role_of(request.session) == "publisher":
                    self._methods.disconnect_pub(request)
                else:
                    self._methods.disconnect_sub(request)
            case _:
                self.handle()
        self._request = None

    def _apply_key_changes(self, authenticator: Authenticator, now: float) -> None:
        """Re-check clients whose keys were revoked or whose grants have changed, and
        disconnect those that were removed."""
        changed = authenticator.poll_changes(now)
        if changed is not None:
            self.perform(self.core.recheck_permissions(changed, now))
            self.forwarder_pool.disconnect_subscribers(changed)
            removed = {key for key in changed if not authenticator.grants.allows(key)}
            self.control_socket.disconnect_later(removed, now)
        self.control_socket.tick(now)

    def _count_clients(self, effects: Iterable[Effect]) -> None:
        """Decentralized, what is counted are clients that came or went."""
        if not self._config.centralized:
            self.event_count += sum(
                isinstance(effect, Joined | Departed) for effect in effects
            )

    def _new_core(self, capacity: Capacity) -> BrokerCore:
        config = self._config
        return BrokerCore(
            "centralized" if config.centralized else "decentralized",
            MemoryRegistry(config.lease_s),
            epoch=_random.getrandbits(SESSION_BITS),
            lease_s=config.lease_s,
            new_session=lambda: _random.getrandbits(SESSION_BITS),
            ports=self.forwarder_pool.ports_of,
            forwarded=self._forwarded,
            clock_ns=time.time_ns,
            now=time.monotonic(),
            max_clients=capacity.clients,
            grants=None if self._authenticator is None else self._authenticator.grants,
            max_from_origin=capacity.per_address,
            max_topics=config.max_topics_per_client,
        )

    def _forwarded(self) -> int:
        if self.forwarder_pool.threaded:
            return self.forwarder_pool.forwarded()
        return self.event_count if self._config.centralized else 0
