"""The broker's public class, which only delegates.

The module is longer than others: each option and each method is documented here, once, where
its users look for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pubsub_broker.config import BrokerConfig, Overflow
from pubsub_broker.runtime import BrokerRuntime
from pubsub_broker.transport.control_socket import ReceivedMessage
from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.net import addresses
from pubsub_common.protocol.listening import is_wildcard
from pubsub_common.protocol.messages import Disconnect, Register, Request, Role

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)


class Broker:
    """Registers publishers and subscribers and brings them together.

    Centralized, it forwards events; decentralized, it tells subscribers where the
    publishers are and events do not pass through it.

    With ``indefinite`` it runs until `stop`. Else it ends after ``max_event_count``
    events: events forwarded when centralized, so no subscriber receives more than
    that; clients that came or went when decentralized.

    Use `configure`, `event_loop`, `disconnect`, or a ``with`` block around the loop.
    `stop` and `disconnect` are for any thread and for signal handlers; the others for one
    thread at a time, and not while `event_loop` runs: then they raise `PubSubError`.
    It has one life: after `disconnect`, and in a forked child, they raise it too.
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
        """``bind`` is the IP address or the name of this host to serve; ``0.0.0.0`` serves all
        its IPv4 addresses, ``::`` all of both families. Without it, loopback is served, which
        only this host reaches. ``port`` 0 takes a free one. ``advertise`` is the ``HOST`` or
        ``HOST:PORT`` at which others reach this broker, where that differs, as behind NAT: the
        other brokers of a group, and their clients, are told it.

        Topics are spread over ``forwarders`` threads, each of which forwards from a port of
        its own: the next free one of ``forward_port``, a port or a range such as
        ``"6000-6003"``; without it, any free one.

        ``overflow`` says what happens to events for a subscriber whose queue of
        ``queue_limit`` messages is full: ``"drop"`` them for this subscriber, or
        ``"block"`` all forwarding until it has room, so that publishers wait.

        ``queue_bytes`` bounds the same queue in bytes, by default 64 MiB, and ``queue_total``
        those of all connections together, 1 GiB; one event always has room. The connection
        of a publisher that sends a payload of more than ``max_payload_bytes`` bytes (64 MiB)
        is closed.

        ``max_clients`` may be registered at a time; by default 10,000, or for how many
        the open files of this process are enough. Of these ``max_clients_per_address``
        may come from one IP address, by default half of them, but at least 1,000; and
        from one address ``max_registrations_per_second``, after ten times as many at
        once. Each may have ``max_topics_per_client`` topics. A client may
        name only the address that it comes from, on this broker's machine any of that, unless
        ``allow_foreign_addresses``: then a client can have subscribers connect anywhere.
        The owner of a topic that sends nothing for
        ``owner_idle_s`` seconds while others do is given up until it does; by default it
        stays the owner. ``state`` is a file in which to
        keep the clients, so that after a restart the status shows which are missing.

        ``secure`` is a folder of keys as ``pubsub-broker keygen`` makes it: then only
        the clients that are enrolled in it can connect, encrypted, and do what its
        policy lets them. Changes of the folder hold within a second.

        With ``registry``, ``"etcd://HOST,HOST,HOST"``, it shares its clients with the other
        brokers of the ``group`` of this name; without it, it is on its own.
        ``registry_tls`` is a folder with ``ca.pem``, and where etcd asks for a certificate
        ``client.pem`` and ``client-key.pem``; ``registry_login`` a TOML file with ``user``
        and ``password``. Etcd may be away, at the start too: clients are served meanwhile.

        Raises:
            ConfigError: an argument cannot work.
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
            ConfigError: an option cannot work.
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

    # What it is

    @property
    def centralized(self) -> bool:
        """Whether it forwards events."""
        return self._config.centralized

    @property
    def indefinite(self) -> bool:
        """Whether it goes on until `stop`."""
        return self._config.indefinite

    @property
    def max_event_count(self) -> int:
        """After how many events it ends, when not `indefinite`."""
        return self._config.max_event_count

    @property
    def address(self) -> str:
        """The IP address that is served, as this machine reaches it: loopback where all
        addresses are served. Empty before `configure`."""
        return self._runtime.address

    @property
    def port(self) -> int:
        """The control port: the one given, and after `configure` the one that is served."""
        return self._runtime.port

    @property
    def event_count(self) -> int:
        """How many events there were, of the kind that ``max_event_count`` limits."""
        return self._runtime.event_count

    # Set-up and end

    def configure(self) -> None:
        """Bind the control port and, centralized, set up forwarding.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
            ConfigError: the folder of keys or the file of the state cannot be used, or this
                broker cannot be in the group.
            PubSubError: it was configured before.
        """
        self._runtime.configure()

    def get_host_address(self) -> str:
        """This host's IP address: the one given, a Mininet host's own, or loopback.
        What is served is `address`: loopback, unless another was given."""
        host = self._config.host
        if not self._config.bind or is_wildcard(host):
            return addresses.host_address()
        return addresses.resolve_own(host)

    def get_clear_port(self) -> int:
        """A TCP port of this host that is free and that this broker has not handed
        out before."""
        return self._runtime.clear_ports.take(self.address or self.get_host_address())

    def own_keys(self) -> ClientKeys | None:
        """What to ask this broker for its status with; None: it is not secure."""
        return self._runtime.own_keys()

    def stop(self) -> None:
        """End `event_loop` soon. For any thread and for signal handlers."""
        self._runtime.stop()

    def disconnect(self) -> None:
        """Send a farewell to clients, let accepted events go out within the linger time,
        and close everything. Before `configure`, and when called again, it does nothing. An
        `event_loop` that still runs in another thread is ended before; called by the
        thread of the loop itself, this is done when the loop has ended."""
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

    # The loop

    def event_loop(self) -> None:
        """Serve until `stop`, or until ``max_event_count`` events when not
        ``indefinite``. An exception of a signal handler ends it; it may then be called
        again.

        Raises:
            PubSubError: forwarding has failed, or another thread serves this broker.
        """
        self._runtime.serve()

    def parse_events(self, index: int) -> None:
        """Wait for something to do, half a second at most, and do it: control messages, due
        leases and notifications, and events when this broker forwards a limited number.

        ``index`` numbers the call, in the debug log.
        """
        _log.debug("turn %d", index)
        self._runtime.turn()

    # Control: what the loop does for clients by itself, for programs

    def register_sub(self, msg: Register | None = None) -> None:
        """Register the subscriber that ``msg`` describes, for as long as a lease; nobody is
        answered. (Those that send a request are registered by the loop.)

        Raises:
            PubSubError: there is no request, or it is not a subscriber's.
        """
        self._register(msg, "subscriber")

    def register_pub(self, msg: Register | None = None) -> None:
        """Register the publisher that ``msg`` describes, as `register_sub` does, and let the
        subscribers of its topics know.

        Raises:
            PubSubError: there is no request, or it is not a publisher's.
        """
        self._register(msg, "publisher")

    def disconnect_sub(self, msg: Disconnect) -> None:
        """Remove the subscriber of the session in ``msg``."""
        self._serve(msg)

    def disconnect_pub(self, msg: Disconnect) -> None:
        """Remove the publisher of the session in ``msg``, and let the subscribers of its
        topics know."""
        self._serve(msg)

    def notify_subscribers(
        self,
        topics: Iterable[str],
        pub_address: str | None = None,
        sub_id: int | None = None,
    ) -> None:
        """Tell the subscribers of ``topics`` now about the publishers that came or
        went, instead of after the short time in which the broker collects them.

        ``sub_id`` limits it to the subscriber of this session. ``pub_address`` is
        for the log: what a subscriber is told is always all that it does not know.
        """
        _log.debug("notifying subscribers of %s about %s", topics, pub_address)
        self._runtime.do(lambda loop: loop.notify(topics, sub_id))

    # Forwarding (centralized)

    def update_send_socket(self) -> list[int]:
        """The ports of the sockets from which events are forwarded, if this broker
        forwards; `configure` has set them up."""
        return self._runtime.forwarding_ports()

    def update_receive_socket(self) -> None:
        """Connect to publishers that registered and disconnect from those that left
        (after a grace time, so that what they sent last still arrives)."""
        self._runtime.do(lambda loop: loop.apply_changes())

    def send(self, topic: str) -> bool:
        """Forward the next event that waits, if it is of ``topic``; whether it was. Only a
        broker with an event limit has events at hand: else libzmq's proxy forwards them in
        C, faster and uncounted."""
        return self._runtime.do(lambda loop: loop.forward_one(topic))

    def _register(self, msg: Register | None, role: Role) -> None:
        if msg is None or msg.role != role:
            raise PubSubError(f"no request of a {role} to register")
        self._serve(msg)

    def _serve(self, request: Request) -> None:
        nobody = ReceivedMessage(b"", b"")
        self._runtime.do(lambda loop: loop.serve(nobody, request))
