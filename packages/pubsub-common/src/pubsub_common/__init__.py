"""What publishers, subscribers and the broker share: protocol, values, errors."""

from typing import TYPE_CHECKING, Any

from pubsub_common.errors import (
    BrokerUnreachable,
    CannotListen,
    ConfigError,
    HandshakeFailed,
    NotReady,
    ProtocolError,
    PubSubError,
    RegistrationRefused,
)

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event

__version__ = "0.1.0"

__all__ = [
    "BrokerUnreachable",
    "CannotListen",
    "ConfigError",
    "Event",
    "HandshakeFailed",
    "NotReady",
    "ProtocolError",
    "PubSubError",
    "RegistrationRefused",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # On demand: pytest loads this package in every run (`pubsub_common.testing.plugin`),
    # and events need msgspec.
    if name == "Event":
        from pubsub_common.protocol.events import Event

        return Event
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
