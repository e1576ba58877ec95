"""Makes payloads, and the error for one of a wrong type."""

from __future__ import annotations

from typing import Any

from pubsub_common.errors import ConfigError


def json_payload(value: Any) -> bytes:
    """``value`` as JSON.

    Raises:
        ConfigError: it cannot be written as JSON.
    """
    import msgspec

    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this cannot be written as JSON: {error}") from error


def generated_payload(number: int, address: str, size: int) -> bytes:
    """What the publisher at ``address`` says in its generated event of this number."""
    text = f"event {number} of {address} "
    return text.encode().ljust(size, b".")[:size]


def wrong_payload_type(payload: object, expected: str = "bytes") -> ConfigError:
    """What to raise for a payload of another type."""
    return ConfigError(f"the payload is {expected}, not {type(payload).__name__}")
