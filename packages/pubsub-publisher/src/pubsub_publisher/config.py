"""The options of a publisher, and their checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.broker_url import topics_in
from pubsub_common.protocol.client_names import check_client_name
from pubsub_common.protocol.endpoints import broker_endpoints
from pubsub_common.protocol.listening import parse_advertised, parse_listen_host
from pubsub_common.protocol.wildcards import validate_publisher_topics
from pubsub_common.queue_bounds import QueueBounds, validate_bounds

if TYPE_CHECKING:
    from pathlib import Path

Overflow = Literal["drop", "block"]
Arrivals = Literal["periodic", "poisson"]
OnSent = Callable[[str, int, int, int], None]

_MAX_HISTORY: Final = 10**8


def check_strengths(strengths: Mapping[str, int] | int | None) -> None:
    """Raises:
    ConfigError: The value is neither a number nor numbers by topic.
    """
    if not isinstance(strengths, Mapping | int | None):
        raise ConfigError(
            f"strengths must be a number, or numbers by topic: {strengths!r:.60}"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class PublisherConfig:
    """Options as `Publisher` documents them, in the order of its arguments."""

    broker_address: str | Iterable[str] = defaults.LOOPBACK
    topics: Iterable[str] = ()
    indefinite: bool = False
    max_event_count: int = defaults.MAX_EVENT_COUNT
    sleep_period: float = defaults.SLEEP_PERIOD_S
    bind_port: int = defaults.PUBLISHER_PORT
    _: dataclasses.KW_ONLY
    broker_port: int | None = None
    bind: str | None = None
    address: str | None = None
    clock: str = "realtime"
    connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S
    attach_timeout_s: float = defaults.ATTACH_TIMEOUT_S
    overflow: Overflow = "drop"
    queue_limit: int | None = None
    queue_bytes: int = defaults.QUEUE_BYTES
    queue_total: int = defaults.QUEUE_TOTAL_BYTES
    max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES
    payload_bytes: int = defaults.PAYLOAD_BYTES
    arrivals: Arrivals = "periodic"
    arrivals_seed: int | None = None
    linger_s: float = defaults.LINGER_S
    on_sent: OnSent | None = None
    history: int = 0
    history_bytes: int = defaults.HISTORY_BYTES
    history_total: int = defaults.HISTORY_TOTAL_BYTES
    strengths: Mapping[str, int] | int | None = None
    keys: str | Path | None = None
    name: str | None = None
    declared_only: bool = False
    shared_memory: defaults.SharedMemory = "auto"

    def __post_init__(self) -> None:
        # Once: they may be generators.
        topics = validation.names("topics", self.topics)
        if not isinstance(self.broker_address, str):
            names = validation.names("broker_address", self.broker_address)
            object.__setattr__(self, "broker_address", names)
        topics = topics or topics_in(self.broker_address)
        object.__setattr__(self, "topics", topics)

    def validate(self) -> None:
        """Raises:
        ConfigError: An option is not valid.
        """
        validate_publisher_topics(self.topics)
        validation.flag("declared_only", self.declared_only)
        if self.declared_only and not self.topics:
            raise ConfigError("at least one topic is needed with declared_only")
        validation.flag("indefinite", self.indefinite)
        validation.at_least("max_event_count", self.max_event_count)
        validation.seconds("sleep_period", self.sleep_period)
        validation.port("bind_port", self.bind_port, low=0)
        self.brokers()
        for name in ("bind", "address"):
            validation.text(name, getattr(self, name), optional=True)
        if self.bind:
            parse_listen_host(self.bind)
        if self.address:
            parse_advertised(self.address)
        if self.advertised_port is not None and self.bind_port == 0:
            raise ConfigError(
                f"bind_port must be a port, not 0, with the address {self.address}: others "
                "connect to a port that leads to it"
            )
        validation.choice("clock", self.clock, defaults.CLOCKS)
        validation.seconds("connect_timeout_s", self.connect_timeout_s)
        validation.seconds("attach_timeout_s", self.attach_timeout_s)
        validation.choice("overflow", self.overflow, ("drop", "block"))
        if self.queue_limit is not None:
            validation.queue_limit(self.queue_limit)
        validate_bounds(self.queue_bytes, self.queue_total, self.max_payload_bytes)
        most = self.max_payload_bytes
        validation.in_range("payload_bytes", self.payload_bytes, 0, most)
        validation.choice("arrivals", self.arrivals, ("periodic", "poisson"))
        if self.arrivals_seed is not None:
            validation.at_least("arrivals_seed", self.arrivals_seed, 0)
        validation.linger("linger_s", self.linger_s)
        validation.callback("on_sent", self.on_sent)
        validation.in_range("history", self.history, 0, _MAX_HISTORY)
        validation.at_least("history_bytes", self.history_bytes)
        validation.at_least("history_total", self.history_total)
        check_strengths(self.strengths)
        validation.path("keys", self.keys)
        validation.text("name", self.name, optional=True)
        check_client_name(self.name or "")
        validation.choice("shared_memory", self.shared_memory, defaults.SHARED_MEMORY)

    def brokers(self) -> tuple[tuple[str, int], ...]:
        """The address or name of each broker, and its port.

        Raises:
            ConfigError: An address is not valid, or the ports contradict each other.
        """
        return broker_endpoints(self.broker_address, self.broker_port)

    @property
    def host(self) -> str | None:
        """This host as others reach it, from ``address``; None without one."""
        return parse_advertised(self.address)[0] if self.address else None

    @property
    def advertised_port(self) -> int | None:
        """The port to which others connect, from ``address``; None if it has none."""
        return parse_advertised(self.address)[1] if self.address else None

    @property
    def listen_host(self) -> str | None:
        """The host on which to listen, from ``bind``; None without one."""
        return parse_listen_host(self.bind) if self.bind else None

    @property
    def bounds(self) -> QueueBounds:
        """The limits of the queues of events."""
        messages = self.queue_limit
        if messages is None:
            blocks = self.overflow == "block"
            messages = defaults.BLOCKING_QUEUE_LIMIT if blocks else defaults.QUEUE_LIMIT
        # Generated events have a known size: keep no more of them than fit.
        fitting = max(1, self.queue_bytes // max(1, self.payload_bytes))
        messages = min(messages, fitting)
        return QueueBounds(
            messages, self.queue_bytes, self.queue_total, self.max_payload_bytes
        )
