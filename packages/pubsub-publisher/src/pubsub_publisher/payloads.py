"""Makes payloads, and the error for one of a wrong type."""

from __future__ import annotations

from typing import Any

from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds

# What is sent as it stands. Any other object with the buffer protocol works as well; types
# have no name for all of them before Python 3.12.
Payload = bytes | bytearray | memoryview


def bytes_payload(payload: object, bounds: QueueBounds, *, text: bool = False) -> bytes:
    """The bytes of a bytes-like object, or with ``text`` of a text, as UTF-8.

    Raises:
        ConfigError: it is something else, or larger than the limit, or a text that cannot
            be written as UTF-8.
    """
    if type(payload) is bytes:
        bounds.check_payload(len(payload))
        return payload
    if text and isinstance(payload, str):
        bounds.check_payload(len(payload))  # a character is a byte at least
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
    """Whether it is sent as it stands."""
    try:
        memoryview(payload)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return False
    return True


def json_payload(value: Any) -> bytes:
    """``value`` as JSON.

    Raises:
        ConfigError: it cannot be written as JSON.
    """
    import json

    import msgspec

    try:
        payload = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"this cannot be written as JSON: {error}") from error
    # JSON has no numbers that are not finite; msgspec makes null of them.
    if b"null" in payload:
        try:
            json.dumps(msgspec.to_builtins(value, str_keys=True), allow_nan=False)
        except ValueError as error:
            raise ConfigError(f"this cannot be written as JSON: {error}") from None
    return payload


def generated_payload(number: int, address: str, size: int) -> bytes:
    """What the publisher at ``address`` says in its generated event of this number."""
    text = f"event {number} of {address} "
    return text.encode().ljust(size, b".")[:size]


def wrong_payload_type(payload: object, expected: str = "bytes") -> ConfigError:
    """What to raise for a payload of another type."""
    return ConfigError(f"the payload is {expected}, not {type(payload).__name__}")
