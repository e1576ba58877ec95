"""Converts payloads to bytes, and makes generated ones."""

from __future__ import annotations

from typing import Any

from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds

# Sent without conversion. Any other object with the buffer protocol works too; before Python 3.12
# there is no type for all of them.
Payload = bytes | bytearray | memoryview


def bytes_payload(payload: object, bounds: QueueBounds, *, text: bool = False) -> bytes:
    """The bytes of a bytes-like object, or with ``text`` of a text, as UTF-8.

    Raises:
        ConfigError: The payload has another type, is larger than the limit, or is a text that
            cannot be written as UTF-8.
    """
    if type(payload) is bytes:
        bounds.check_payload(len(payload))
        return payload
    if text and isinstance(payload, str):
        bounds.check_payload(len(payload))  # a character has at least one byte
        try:
            return payload.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"the payload is not UTF-8 text: {error}") from None
    try:
        view = memoryview(payload)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        raise wrong_payload_type(
            payload, "bytes or text" if text else "bytes"
        ) from None
    bounds.check_payload(view.nbytes)
    return view.tobytes()


def is_bytes_like(payload: object) -> bool:
    """Whether it can be sent without conversion."""
    try:
        memoryview(payload)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return False
    return True


def json_payload(value: Any) -> bytes:
    """``value`` as JSON.

    Raises:
        ConfigError: The value cannot be written as JSON.
    """
    import json

    import msgspec

    try:
        payload = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"this cannot be written as JSON: {error}") from error
    # JSON has no infinite numbers and no NaN; msgspec writes null.
    if b"null" in payload:
        try:
            json.dumps(msgspec.to_builtins(value, str_keys=True), allow_nan=False)
        except ValueError as error:
            raise ConfigError(f"this cannot be written as JSON: {error}") from None
    return payload


def generated_payload(number: int, address: str, size: int) -> bytes:
    """The payload of the generated event of this number, from the publisher at ``address``."""
    text = f"event {number} of {address} "
    return text.encode().ljust(size, b".")[:size]


def wrong_payload_type(payload: object, expected: str = "bytes") -> ConfigError:
    """The error for a payload of another type."""
    return ConfigError(f"the payload is {expected}, not {type(payload).__name__}")
