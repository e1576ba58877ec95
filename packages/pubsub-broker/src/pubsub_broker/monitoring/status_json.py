"""The status as JSON for programs: every field has its key, also with its default value.

The message of the broker leaves defaults out, to be short.
"""

from __future__ import annotations

from typing import Any

import msgspec

from pubsub_common.protocol.messages import Status


def status_json(status: Status) -> str:
    """One JSON object; "type" is the type of the message."""
    tag = status.__struct_config__.tag
    return msgspec.json.encode({"type": tag, **_complete(status)}).decode()


def _complete(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {
            name: _complete(getattr(value, name)) for name in value.__struct_fields__
        }
    if isinstance(value, list):
        return [_complete(item) for item in value]
    return value
