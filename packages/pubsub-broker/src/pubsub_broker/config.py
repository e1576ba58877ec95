"""The options of a broker, and their checks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from pubsub_broker.registry_options import parse_registry, validate_group
from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol import endpoints, listening
from pubsub_common.queue_bounds import QueueBounds, validate_bounds

if TYPE_CHECKING:
    from pathlib import Path

Overflow = Literal["drop", "block"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Options as `Broker` documents them."""

    centralized: bool = False
    indefinite: bool = False
    max_event_count: int = defaults.MAX_EVENT_COUNT
    bind: str | None = None
    port: int = defaults.CONTROL_PORT
    lease_s: float = defaults.LEASE_S
    advertise: str | None = None
    forwarders: int = 1
    forward_port: int | str | None = None
    queue_limit: int = defaults.QUEUE_LIMIT
    queue_bytes: int = defaults.QUEUE_BYTES
    queue_total: int = defaults.QUEUE_TOTAL_BYTES
    max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES
    linger_s: float = defaults.LINGER_S
    overflow: Overflow = "drop"
    max_clients: int | None = None
    max_clients_per_address: int | None = None
    max_registrations_per_second: float = defaults.REGISTRATIONS_PER_SECOND
    max_topics_per_client: int = defaults.MAX_TOPICS_PER_CLIENT
    allow_foreign_addresses: bool = False
    owner_idle_s: float | None = None
    state: str | Path | None = None
    secure: str | Path | None = None
    registry: str | None = None
    group: str | None = None
    registry_tls: str | Path | None = None
    registry_login: str | Path | None = None

    def validate(self) -> None:
        """Raises:
        ConfigError: an option is invalid.
        """
        validation.flag("centralized", self.centralized)
        validation.flag("indefinite", self.indefinite)
        validation.at_least("max_event_count", self.max_event_count)
        validation.text("bind", self.bind, optional=True)
        validation.port("port", self.port, low=0)
        if self.bind:
            listening.parse_listen_host(self.bind)
        self._validate_advertised()
        validation.seconds("lease_s", self.lease_s, zero=False)
        validation.at_least("forwarders", self.forwarders)
        self._validate_forward_port()
        validation.queue_limit(self.queue_limit)
        validate_bounds(self.queue_bytes, self.queue_total, self.max_payload_bytes)
        validation.linger("linger_s", self.linger_s)
        validation.choice("overflow", self.overflow, ("drop", "block"))
        validation.flag("allow_foreign_addresses", self.allow_foreign_addresses)
        if self.owner_idle_s is not None:
            validation.seconds("owner_idle_s", self.owner_idle_s, zero=False)
        validation.path("state", self.state)
        validation.path("secure", self.secure)
        self._validate_limits()
        self._validate_registry()

    @property
    def host(self) -> str:
        """The host to serve, which may be a wildcard or a name."""
        return listening.parse_listen_host(self.bind or defaults.LOOPBACK)

    @property
    def advertised(self) -> tuple[str, int | None] | None:
        """The host and the port that others get, if ``advertise`` was given."""
        return listening.parse_advertised(self.advertise) if self.advertise else None

    @property
    def forward_ports(self) -> range | None:
        """The ports to forward from, if ``forward_port`` was given."""
        if self.forward_port is None:
            return None
        return listening.parse_ports("forward_port", self.forward_port)

    @property
    def bounds(self) -> QueueBounds:
        """The bounds of the queues of events."""
        return QueueBounds(
            self.queue_limit,
            self.queue_bytes,
            self.queue_total,
            self.max_payload_bytes,
        )

    @property
    def forwarder_count(self) -> int:
        """The number of forwarders: none when decentralized."""
        return self.forwarders if self.centralized else 0

    def _validate_registry(self) -> None:
        for name in ("registry", "group"):
            validation.text(name, getattr(self, name), optional=True)
        for name in ("registry_tls", "registry_login"):
            validation.path(name, getattr(self, name))
        if self.registry is None:
            for name in ("group", "registry_tls", "registry_login"):
                if getattr(self, name) is not None:
                    raise ConfigError(f"{name} requires a registry")
            return
        parse_registry(self.registry)
        if self.group is None:
            raise ConfigError("registry requires the name of the group of brokers")
        validate_group(self.group)
        if self.state is not None:
            raise ConfigError(
                "state cannot be used with a registry, which keeps the clients"
            )

    def _validate_advertised(self) -> None:
        validation.text("advertise", self.advertise, optional=True)
        advertised = self.advertised
        in_group = self.registry is not None
        if in_group and listening.is_wildcard(self.host) and advertised is None:
            raise ConfigError(
                f"advertise is needed with a registry and bind {self.bind}: the "
                "address at which clients reach this broker"
            )

    def _validate_forward_port(self) -> None:
        ports = self.forward_ports
        if ports is not None and len(ports) < self.forwarders:
            raise ConfigError(
                f"forward_port must have a port for each of the {self.forwarders} "
                f"forwarders: {self.forward_port!r}"
            )
        if ports is not None and self.port in ports:
            raise ConfigError(
                f"forward_port must not have the control port {self.port}: "
                f"{self.forward_port!r}"
            )

    def _validate_limits(self) -> None:
        if self.max_clients is not None:
            validation.at_least("max_clients", self.max_clients)
        if self.max_clients_per_address is not None:
            validation.at_least("max_clients_per_address", self.max_clients_per_address)
        rate = self.max_registrations_per_second
        if not (validation.is_number(rate) and 0.1 <= rate < float("inf")):
            raise ConfigError(
                f"max_registrations_per_second must be at least 0.1: {rate!r}"
            )
        validation.in_range(
            "max_topics_per_client",
            self.max_topics_per_client,
            1,
            defaults.MAX_TOPICS_PER_CLIENT,
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    return endpoints.is_loopback(host)


def open_access_warning(host: str, port: int, *, secure: bool) -> str | None:
    """The warning about a broker that other machines can reach without keys; None if it
    does not apply."""
    if secure or is_loopback(host):
        return None
    return (
        f"every client that reaches {host}:{port} can publish and subscribe; to "
        "change that: pubsub-broker keygen DIR, then --secure DIR"
    )
