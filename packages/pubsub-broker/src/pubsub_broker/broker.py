"""The broker's public class, which only delegates.

It documents each option and each method once, for the users of the class.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pubsub_broker.config import BrokerConfig, Overflow
from pubsub_broker.runtime import BrokerRuntime
from pubsub_broker.seed_methods import SeedMethods
from pubsub_common import defaults
from pubsub_common.net import addresses
from pubsub_common.protocol.listening import is_wildcard

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys


class Broker(SeedMethods):
    """Registers publishers and subscribers and brings them together.

    Centralized, it forwards events. Decentralized, it tells subscribers where the
    publishers are, and events do not pass through it.

    With ``indefinite`` it runs until `stop`. Otherwise it ends after
    ``max_event_count`` events. Centralized, these are forwarded events, so no
    subscriber receives more. Decentralized, they are clients that join or leave.

    Use `configure`, `event_loop`, `disconnect`, or a ``with`` block around the loop.
    Any thread and any signal handler may call `stop` and `disconnect`. The other
    methods are for one thread at a time, and not while `event_loop` runs: then they
    raise `PubSubError`. They also raise it after `disconnect`, and in a forked child.
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
        advertise: str | None = None,
        forwarders: int = 1,
        forward_port: int | str | None = None,
        queue_limit: int = defaults.QUEUE_LIMIT,
        queue_bytes: int = defaults.QUEUE_BYTES,
        queue_total: int = defaults.QUEUE_TOTAL_BYTES,
        max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES,
        linger_s: float = defaults.LINGER_S,
        overflow: Overflow = "drop",
        max_clients: int | None = None,
        max_clients_per_address: int | None = None,
        max_registrations_per_second: float = defaults.REGISTRATIONS_PER_SECOND,
        max_topics_per_client: int = defaults.MAX_TOPICS_PER_CLIENT,
        allow_foreign_addresses: bool = False,
        owner_idle_s: float | None = None,
        state: str | Path | None = None,
        secure: str | Path | None = None,
        registry: str | None = None,
        group: str | None = None,
        registry_tls: str | Path | None = None,
        registry_login: str | Path | None = None,
    ) -> None:
        """Check the options; nothing is opened before `configure`.

        Args:
            bind: The IP address or name of this host to serve; ``0.0.0.0`` serves all its
                IPv4 addresses, ``::`` those of both families. By default loopback, which
                only this host reaches.
            port: The control port; 0 takes a free one.
            advertise: The ``HOST`` or ``HOST:PORT`` at which others reach this broker, if
                that differs, as behind NAT. Other brokers of a group and their clients
                get it.
            forwarders: The number of threads over which topics are spread.
            forward_port: A port, or a range such as ``"6000-6003"``: each forwarder takes
                the next free one. By default any free ports.
            overflow: What happens to events for a subscriber with a full queue:
                ``"drop"`` them for this subscriber, or ``"block"`` all forwarding until
                it has room, so that publishers wait.
            queue_limit: The messages in the queue of one subscriber.
            queue_bytes: The bytes in the same queue, by default 64 MiB. One event
                always has room.
            queue_total: The bytes in the queues of all connections together, by default
                1 GiB.
            max_payload_bytes: The broker closes the connection of a publisher that
                sends a larger payload (64 MiB).
            max_clients: The limit for registered clients, by default 10,000, or as many
                as the open files of this process allow.
            max_clients_per_address: The limit for clients from one IP address, by
                default half of ``max_clients``, but at least 1,000.
            max_registrations_per_second: The limit for registrations from one IP
                address. Ten times as many are allowed in a burst.
            max_topics_per_client: The limit for topics of one client.
            allow_foreign_addresses: A publisher may register an address other than its
                own, so it can make subscribers connect anywhere. Otherwise only the
                address that it connects from, or, on this broker's machine, any address
                of the machine.
            owner_idle_s: The owner of a topic loses it after this many seconds without
                an event while others publish, until it publishes again. By default it
                stays the owner.
            state: A file in which to keep the clients, so that the status shows after a
                restart which are missing.
            secure: A folder of keys, made by ``pubsub-broker keygen``. Only clients
                enrolled in it can connect, encrypted, with the permissions in its
                policy. Changes of the folder apply within a second.
            registry: ``"etcd://HOST,HOST,HOST"``: share clients with the other brokers
                of the ``group``. Clients are served while etcd is away, also at the
                start.
            group: The name of the group of brokers.
            registry_tls: A folder with ``ca.pem``, and, where etcd asks for a
                certificate, ``client.pem`` and ``client-key.pem``.
            registry_login: A TOML file with ``user`` and ``password``.

        Raises:
            ConfigError: an argument is invalid.
        """
        self._set_up(
            BrokerConfig(
                centralized=centralized,
                indefinite=indefinite,
                max_event_count=max_event_count,
                bind=bind,
                port=port,
                lease_s=lease_s,
                advertise=advertise,
                forwarders=forwarders,
                forward_port=forward_port,
                queue_limit=queue_limit,
                queue_bytes=queue_bytes,
                queue_total=queue_total,
                max_payload_bytes=max_payload_bytes,
                linger_s=linger_s,
                overflow=overflow,
                max_clients=max_clients,
                max_clients_per_address=max_clients_per_address,
                max_registrations_per_second=max_registrations_per_second,
                max_topics_per_client=max_topics_per_client,
                allow_foreign_addresses=allow_foreign_addresses,
                owner_idle_s=owner_idle_s,
                state=state,
                secure=secure,
                registry=registry,
                group=group,
                registry_tls=registry_tls,
                registry_login=registry_login,
            )
        )

    @classmethod
    def from_config(cls, config: BrokerConfig) -> Self:
        """A broker with these options.

        Raises:
            ConfigError: an option is invalid.
        """
        broker = cls.__new__(cls)
        broker._set_up(config)
        return broker

    def _set_up(self, config: BrokerConfig) -> None:
        config.validate()
        self._config = config
        self._runtime = runtime = BrokerRuntime(config)
        runtime.life.close_when_dropped(self, runtime.close)

    def __repr__(self) -> str:
        model = "centralized" if self.centralized else "decentralized"
        address = self.address or self._config.host
        state = self._runtime.life.state
        return f"<Broker model={model} address={address}:{self.port} state={state}>"

    # Properties

    @property
    def centralized(self) -> bool:
        """Whether the broker forwards events."""
        return self._config.centralized

    @property
    def indefinite(self) -> bool:
        """Whether it runs until `stop`."""
        return self._config.indefinite

    @property
    def max_event_count(self) -> int:
        """The number of events after which it ends, when not `indefinite`."""
        return self._config.max_event_count

    @property
    def address(self) -> str:
        """The IP address that it serves, as this machine reaches it: loopback if it
        serves all addresses. Empty before `configure`."""
        return self._runtime.address

    @property
    def port(self) -> int:
        """The control port: the given one, and after `configure` the bound one."""
        return self._runtime.port

    @property
    def event_count(self) -> int:
        """The number of events so far, of the kind that ``max_event_count`` limits."""
        return self._runtime.event_count

    # Setup and shutdown

    def configure(self) -> None:
        """Bind the control port and, centralized, set up forwarding.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
            ConfigError: the folder of keys or the state file cannot be used, or this
                broker cannot join the group.
            PubSubError: the broker was configured before.
        """
        self._runtime.configure()

    def get_host_address(self) -> str:
        """This host's IP address: the given one, a Mininet host's own, or loopback. The
        broker serves `address`, which is loopback unless another one was given."""
        host = self._config.host
        if not self._config.bind or is_wildcard(host):
            return addresses.host_address()
        return addresses.resolve_own(host)

    def get_clear_port(self) -> int:
        """A free TCP port of this host that this broker has not handed out before."""
        return self._runtime.clear_ports.take(self.address or self.get_host_address())

    def own_keys(self) -> ClientKeys | None:
        """The keys for requests for this broker's status; None if it is not secure."""
        return self._runtime.own_keys()

    def stop(self) -> None:
        """End `event_loop` soon. For any thread and for signal handlers."""
        self._runtime.stop()

    def disconnect(self) -> None:
        """Send a farewell to clients, let accepted events go out within the linger
        time, and close everything.

        It does nothing before `configure`, and in a second call. An `event_loop` in
        another thread ends first. A call from the thread of the loop takes effect when
        the loop has ended.
        """
        self._runtime.close()

    def __enter__(self) -> Self:
        if self._runtime.life.state == "configured":
            self._runtime.life.check_usable()  # not in a forked child
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

    # Event loop

    def event_loop(self) -> None:
        """Serve until `stop`, or until ``max_event_count`` events when not
        ``indefinite``. An exception from a signal handler ends the loop, which may then
        be called again.

        Raises:
            PubSubError: forwarding has failed, or another thread serves this broker.
        """
        self._runtime.serve()
