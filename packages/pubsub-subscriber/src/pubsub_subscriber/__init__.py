"""The subscriber: receives events of its topics and records their latency.

Shell, except `config` and `core`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubsub_subscriber.subscriber import Subscriber

__version__ = "0.1.0"

__all__ = ["Subscriber", "__version__"]


def __getattr__(name: str) -> Any:
    # On demand, so that the console script's --help need not load ZeroMQ.
    if name == "Subscriber":
        from pubsub_subscriber.subscriber import Subscriber

        return Subscriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
