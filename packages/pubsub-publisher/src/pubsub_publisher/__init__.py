"""The publisher: binds a port, registers, publishes. It is the same in both models.

Shell, except `config`, `core` and `payloads`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pubsub_publisher.publisher import Publisher

__version__ = "0.1.0"

__all__ = ["Publisher", "__version__"]


def __getattr__(name: str) -> Any:
    # On demand, so that the console script's --help need not load ZeroMQ.
    if name == "Publisher":
        from pubsub_publisher.publisher import Publisher

        return Publisher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
