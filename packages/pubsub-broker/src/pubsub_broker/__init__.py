"""The broker: forwards events, or only keeps a registry of publishers and subscribers.

Shell, except `config`, `errors` and `registry_options`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubsub_broker.broker import Broker

__version__ = "0.1.0"

__all__ = ["Broker", "__version__"]


def __getattr__(name: str) -> Any:
    # On demand, so that the console script's --help need not load ZeroMQ.
    if name == "Broker":
        from pubsub_broker.broker import Broker

        return Broker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
