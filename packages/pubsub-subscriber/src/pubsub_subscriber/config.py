"""The options of a subscriber, and their checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.broker_url import is_url, topics_in
from pubsub_common.protocol.client_names import check_client_name
from pubsub_common.protocol.endpoints import (
    broker_endpoints,
    is_name,
    parse_broker_address,
    validate_own_host,
)
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_common.protocol.wildcards import validate_subscriptions
from pubsub_common.queue_bounds import QueueBounds, validate_bounds

if TYPE_CHECKING:
    from pathlib import Path

Start = Literal["now", "history"]


@dataclasses.dataclass(frozen=True, slots=True)
class SubscriberConfig:
    """Options as `Subscriber` documents them."""

    filename: str | None = None
    broker_address: str | Iterable[str] = defaults.LOOPBACK
    topics: Iterable[str] = ()
    indefinite: bool = False
    max_event_count: int | None = None
    centralized: bool | None = None
    _: dataclasses.KW_ONLY
    broker_port: int | None = None
    address: str | None = None
    clock: str = "realtime"
    connect_timeout_s: float = defaults.CONNECT_TIMEOUT_S
    attach_timeout_s: float = defaults.ATTACH_TIMEOUT_S
    queue_limit: int = defaults.QUEUE_LIMIT
    queue_bytes: int = defaults.QUEUE_BYTES
    queue_total: int = defaults.QUEUE_TOTAL_BYTES
    max_payload_bytes: int = defaults.PAYLOAD_LIMIT_BYTES
    on_event: Callable[[Event], None] | None = None
    on_gap: Callable[[Gap], None] | None = None
    recover: bool = False
    start: Start = "now"
    recover_timeout_s: float = defaults.RECOVER_TIMEOUT_S
    recover_bytes: int = defaults.RECOVER_BYTES
    on_publisher: Callable[[PublisherInfo, bool], None] | None = None
    keys: str | Path | None = None
    name: str | None = None
    safe_csv: bool = False
    shared_memory: defaults.SharedMemory = "auto"
    views: bool = False

    def __post_init__(self) -> None:
        """Raises:
        ConfigError: ``topics`` is not a list of texts, or ``broker_address`` is not an
            address.
        """
        if not isinstance(self.broker_address, str):
            names = validation.names("broker_address", self.broker_address)
            object.__setattr__(self, "broker_address", names)
        topics = validation.names("topics", self.topics)
        topics = topics or topics_in(self.broker_address)
        object.__setattr__(self, "topics", topics)

    def validate(self) -> None:
        """Raises:
        ConfigError: An option is not valid.
        """
        self._refuse_meant_topics()
        validation.path("filename", self.filename)
        self._refuse_meant_broker()
        self.brokers()
        if not self.topics:
            raise ConfigError(f"at least one topic is needed{self._meant_topic()}")
        validate_subscriptions(self.topics)
        validation.flag("indefinite", self.indefinite)
        if self.max_event_count is not None:
            validation.at_least("max_event_count", self.max_event_count)
        if self.centralized is not None:
            validation.flag("centralized", self.centralized)
        if self.filename is not None and self.indefinite:
            raise ConfigError(
                "a file is written when all events have arrived, which never happens "
                "to an indefinite subscriber: give it a max_event_count or no file"
            )
        validation.text("address", self.address, optional=True)
        if self.address:
            validate_own_host(self.address)
        validation.choice("clock", self.clock, defaults.CLOCKS)
        validation.queue_limit(self.queue_limit)
        validate_bounds(self.queue_bytes, self.queue_total, self.max_payload_bytes)
        self._validate_times()
        validation.flag("recover", self.recover)
        validation.at_least("recover_bytes", self.recover_bytes)
        validation.choice("start", self.start, ("now", "history"))
        validation.callback("on_event", self.on_event)
        validation.callback("on_gap", self.on_gap)
        validation.callback("on_publisher", self.on_publisher)
        validation.path("keys", self.keys)
        validation.text("name", self.name, optional=True)
        check_client_name(self.name or "")
        validation.flag("safe_csv", self.safe_csv)
        validation.choice("shared_memory", self.shared_memory, defaults.SHARED_MEMORY)
        validation.flag("views", self.views)

    def brokers(self) -> tuple[tuple[str, int], ...]:
        """The address or name of each broker, and its port.

        Raises:
            ConfigError: An address is not valid, or the ports contradict each other.
        """
        return broker_endpoints(self.broker_address, self.broker_port)

    @property
    def host(self) -> str | None:
        """This host as others reach it, from ``address``; None without one."""
        return validate_own_host(self.address) if self.address else None

    @property
    def bounds(self) -> QueueBounds:
        """The limits of the queues of events."""
        return QueueBounds(
            self.queue_limit,
            self.queue_bytes,
            self.queue_total,
            self.max_payload_bytes,
        )

    @property
    def recovers(self) -> bool:
        """Whether missing events are requested."""
        return self.recover or self.start == "history"

    @property
    def event_limit(self) -> int | None:
        """The number of events after which iteration ends; None: no limit."""
        return None if self.indefinite else self.max_event_count

    @property
    def notify_limit(self) -> int | None:
        """The number of events after which `notify` ends; None: no limit."""
        if self.indefinite or self.max_event_count is not None:
            return self.event_limit
        return defaults.MAX_EVENT_COUNT

    def _refuse_meant_topics(self) -> None:
        """Raises:
        ConfigError: ``filename``, the first argument, is a list of topics.
        """
        given = self.filename
        if isinstance(given, list | tuple | set | frozenset):
            raise ConfigError(
                f"filename, the first argument, must be the path of a file: {given!r}; "
                f"write Subscriber(topics={given!r})"
            )

    def _refuse_meant_broker(self) -> None:
        """Raises:
        ConfigError: ``filename``, the first argument, is the address of a broker.
        """
        name = self.filename
        if not isinstance(name, str):
            return
        if not is_url(name):
            try:
                host, _ = parse_broker_address(name)
            except ConfigError:
                return
            if is_name(host):
                return
        raise ConfigError(
            f"{name!r} is taken as filename, the first argument; "
            f"write Subscriber(broker_address={name!r}, topics=...)"
        )

    def _meant_topic(self) -> str:
        """A hint where the first argument, ``filename``, looks like a topic."""
        name = self.filename
        if not isinstance(name, str):
            return ""
        if isinstance(self.broker_address, tuple):
            # Two arguments, written without knowledge of the first one, the file.
            return (
                f": {name!r} is taken as filename, the first argument, and "
                f"{list(self.broker_address)!r} as brokers; write "
                f"Subscriber(broker_address={name!r}, topics=...)"
            )
        if "." in name:
            return ""
        return (
            f": {name!r} is taken as filename, the first argument; "
            f"write Subscriber(topics=[{name!r}])"
        )

    def _validate_times(self) -> None:
        validation.seconds("connect_timeout_s", self.connect_timeout_s, infinite=True)
        validation.seconds("attach_timeout_s", self.attach_timeout_s)
        validation.seconds("recover_timeout_s", self.recover_timeout_s, zero=False)
