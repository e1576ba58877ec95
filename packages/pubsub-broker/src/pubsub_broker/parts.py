"""The parts of a running broker: made together, and closed together."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_broker.config import BrokerConfig
from pubsub_broker.control.address_rules import AddressRules
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.forwarding.clear_ports import ClearPorts
from pubsub_broker.forwarding.counted import CountingForwarder
from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_broker.limits.address_limits import limits_for
from pubsub_broker.limits.capacity import (
    Capacity,
    allocate,
    files_of_broker,
    publishers_per_address,
)
from pubsub_broker.registry.changes import BrokerRecord
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_broker.served_address import served_address
from pubsub_broker.snapshot_keeper import SnapshotKeeper
from pubsub_broker.transport.connection_guard import ConnectionGuard
from pubsub_broker.transport.control_socket import ControlSocket
from pubsub_broker.transport.request_reader import RequestReader
from pubsub_common import __version__
from pubsub_common.limits.port_limits import limits_of_port
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net.addresses import is_local
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.net.open_files import check_open_files
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.events import SESSION_BITS
from pubsub_common.protocol.messages import Model
from pubsub_common.security.lost_connections import CONNECTED

if TYPE_CHECKING:
    from pubsub_broker.group_member import GroupMember
    from pubsub_broker.security.authenticator import Authenticator
    from pubsub_broker.security.session_signature import SessionSignature

_log = logging.getLogger(__name__)

# A session must not be guessable: it allows requests in the name of its client.
_random: Final = random.SystemRandom()
# How long `close` waits for the thread that reads keys, as a disk may delay it.
_WATCH_TIMEOUT_S: Final = 1.0
# How long it waits for etcd, which may have an election.
_GROUP_TIMEOUT_S: Final = 2.0


class BrokerParts:
    """Sockets, forwarders and core. The creator closes it."""

    def __init__(self, config: BrokerConfig) -> None:
        """Raises:
        ConfigError: the folder of keys or the state file cannot be used.
        TooFewFiles: this process may open too few files.
        """
        check_open_files("a broker", files_of_broker(forwarders=config.forwarder_count))
        self.config = config
        self.served = served_address(config, config.host, config.port)
        self.audit = AuditLog(_log)
        self.snapshot_keeper = SnapshotKeeper(config.state) if config.state else None
        self.authenticator = self._authenticator()
        capacity = allocate(
            config.max_clients,
            config.max_clients_per_address,
            forwarders=config.forwarder_count,
            secure=config.secure is not None,
        )
        self.waker = Waker()
        self._context = new_context(capacity.sockets)
        if config.forwarder_count:
            self._context.set(zmq.IO_THREADS, 2)  # before there is any socket
        self._make_control(capacity)
        # This must not be guessable either.
        self._forwarder = f"{_random.getrandbits(64):016x}"
        places = NamedEndpoints(CONNECTED, is_own=self._is_own)
        places.lookups.answered = self.waker.wake
        self.forwarder_pool = ForwarderPool(
            self._context,
            count=config.forwarder_count,
            threaded=config.indefinite,
            bounds=config.bounds,
            overflow=config.overflow,
            on_failure=self.waker.wake,
            port_limits=limits_of_port(
                capacity.per_address, secure=config.secure is not None, asks=False
            ),
            forwarder=self._forwarder,
            on_failed_handshake=lambda address, what: self.audit.warn(
                address, what, what
            ),
            places=places,
            authenticator=self.authenticator,
        )
        self.counting_forwarder = CountingForwarder(
            self.forwarder_pool, config.max_event_count
        )
        self.registry = MemoryRegistry()
        self.core = self._core(capacity)
        self.group: GroupMember | None = None
        self.request_reader = RequestReader(
            self.control_socket,
            self.connection_guard,
            self.core.refusals,
        )

    def bind(self, host: str, port: int) -> int:
        """Bind the control port; returns it.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
        """
        port = self.connection_guard.port = self.control_socket.bind(host, port)
        self.served = served_address(self.config, host, port)
        self.served.forwarding = lambda: self.forwarder_pool.ports
        return port

    def open_forwarders(self, clear_ports: ClearPorts) -> None:
        """Bind and start the forwarders, on the ports that the options name, or on some of
        ``clear_ports``.

        Raises:
            CannotListen: no port could be bound.
        """
        host = self.served.host
        count = self.config.forwarder_count
        ports = self.config.forward_ports or clear_ports.some(host, count)
        self.forwarder_pool.open(host, iter(ports))

    def load_snapshot(self) -> None:
        """Read the clients of an earlier run, and keep the file up to date from now on.

        Only after the ports are bound: if they are taken, another broker with these
        options may still run and use the file.

        Raises:
            ConfigError: the file can neither be used nor moved away.
        """
        if self.snapshot_keeper is not None:
            self.snapshot_keeper.begin(self.core, time.monotonic())

    def join_group(self) -> GroupMember | None:
        """This broker's membership in its group, not started yet; None without a group.
        Only after the ports are bound, as other brokers learn them.

        Raises:
            ConfigError: the options are inconsistent, or one of their files cannot be
                used.
        """
        if self.config.registry is not None:
            from pubsub_broker.group_member import GroupMember

            record = BrokerRecord(
                address=self.served.told,
                version=__version__,
                forwarder=self._forwarder if self.config.centralized else "",
                forwarding=tuple(self.forwarder_pool.ports),
            )
            authenticator = self.authenticator
            self.group = GroupMember(
                self.config,
                self.core,
                record,
                lambda: "" if authenticator is None else authenticator.digest,
                self.waker.wake,
            )
        return self.group

    def threads(self) -> list[threading.Thread]:
        """The threads that `close` waits for."""
        keeper, authenticator = self.snapshot_keeper, self.authenticator
        links = [] if self.group is None else self.group.threads()
        writers = [] if keeper is None else keeper.threads()
        watches = [] if authenticator is None else [authenticator.thread]
        return [*self.forwarder_pool.threads(), *links, *writers, *watches]

    def close(self, until: float) -> None:
        """Let accepted messages go out until ``until`` (monotonic seconds), and close
        everything.

        Raises:
            PubSubError: a forwarder does not end; everything else is closed.
        """
        self.connection_guard.close()
        if self.group is not None:
            self.group.close(_GROUP_TIMEOUT_S)
        try:
            self.forwarder_pool.close(until)
        except BaseException:
            # Only the thread that hangs could close its sockets. Terminating their
            # context would wait for them without a limit.
            self.control_socket.close(0.0)
            raise
        else:
            self.control_socket.close(self.config.linger_s)
            terminate_context(self._context, until - time.monotonic())
        finally:
            if self.authenticator is not None:
                self.authenticator.close(_WATCH_TIMEOUT_S)
            self.waker.close()
            if self.snapshot_keeper is not None:
                self.snapshot_keeper.close(time.monotonic())

    def _authenticator(self) -> Authenticator | None:
        if self.config.secure is None:
            return None
        from pubsub_broker.security.authenticator import Authenticator

        return Authenticator(self.config.secure, self.audit)

    def _make_control(self, capacity: Capacity) -> None:
        """The control port and its guards."""
        pair = None
        if self.authenticator is not None:
            self.authenticator.open(self._context, self.waker.wake)
            pair = self.authenticator.pair
        self.control_socket = ControlSocket(self._context, self.audit, pair)
        limits = limits_for(
            capacity.per_address,
            self.config.max_registrations_per_second,
            self.config.lease_s,
        )
        self.connection_guard = ConnectionGuard(
            self.control_socket.socket, limits, secure=pair is not None
        )

    def _core(self, capacity: Capacity) -> BrokerCore:
        config = self.config
        model: Model = "centralized" if config.centralized else "decentralized"
        return BrokerCore(
            model,
            self.registry,
            epoch=_random.getrandbits(SESSION_BITS),
            lease_s=config.lease_s,
            new_session=lambda: _random.getrandbits(SESSION_BITS),
            ports=self.forwarder_pool.ports_of,
            forwarded=self._forwarded,
            clock_ns=time.time_ns,
            is_lost=self.control_socket.is_lost,
            now=time.monotonic(),
            max_clients=capacity.clients,
            grants=None if self.authenticator is None else self.authenticator.grants,
            signature=self._signature(),
            max_from_origin=capacity.per_address,
            max_publishers_from_origin=publishers_per_address(
                config.max_clients_per_address, capacity.per_address
            ),
            max_topics=config.max_topics_per_client,
            addresses=AddressRules(
                self._is_own, is_local, config.allow_foreign_addresses
            ),
            forwarder=self._forwarder if config.centralized else "",
            owner_idle_s=config.owner_idle_s,
            address=lambda: self.served.told,
            version=__version__,
            group=config.group,
        )

    def _signature(self) -> SessionSignature | None:
        if self.authenticator is None:
            return None
        from pubsub_broker.security.session_signature import SessionSignature

        return SessionSignature(self.authenticator.pair.secret.encode())

    def _is_own(self, endpoint: str) -> bool:
        return self.served.is_own(endpoint)

    def _forwarded(self) -> int:
        if self.forwarder_pool.threaded:
            return self.forwarder_pool.forwarded()
        return self.counting_forwarder.forwarded
