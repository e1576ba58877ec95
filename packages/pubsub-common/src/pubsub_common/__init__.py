"""What publishers, subscribers and the broker share: protocol, values, errors.

Core, except `file_claim`, `files`, `life_cycle` and `uninterrupted`.
"""

from typing import TYPE_CHECKING, Any, Final

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
    from pubsub_common.measurement.latency_histogram import LatencyHistogram
    from pubsub_common.protocol.batches import Batch
    from pubsub_common.protocol.events import Event
    from pubsub_common.protocol.messages import PublisherInfo
    from pubsub_common.protocol.sequence import Counts, Gap

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BrokerUnreachable",
    "CannotListen",
    "ConfigError",
    "Counts",
    "Event",
    "Gap",
    "HandshakeFailed",
    "LatencyHistogram",
    "NotReady",
    "ProtocolError",
    "PubSubError",
    "PublisherInfo",
    "RegistrationRefused",
    "__version__",
]


# On demand: pytest loads this package in every run (`pubsub_common.testing.plugin`), and
# events need msgspec.
_ON_DEMAND: Final = {
    "Batch": "pubsub_common.protocol.batches",
    "Counts": "pubsub_common.protocol.sequence",
    "Event": "pubsub_common.protocol.events",
    "Gap": "pubsub_common.protocol.sequence",
    "LatencyHistogram": "pubsub_common.measurement.latency_histogram",
    "PublisherInfo": "pubsub_common.protocol.messages",
}


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        import importlib

        return getattr(importlib.import_module(_ON_DEMAND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
