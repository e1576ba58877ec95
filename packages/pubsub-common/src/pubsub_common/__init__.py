"""What publishers, subscribers and the broker share: protocol, values, errors."""

from pubsub_common.errors import (
    BrokerUnreachable,
    ConfigError,
    NotReady,
    ProtocolError,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.events import Event

__version__ = "0.1.0"

__all__ = [
    "BrokerUnreachable",
    "ConfigError",
    "Event",
    "NotReady",
    "ProtocolError",
    "PubSubError",
    "RegistrationRefused",
    "__version__",
]
