"""The JSON files of ``pubsub-perf bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pubsub_common.errors import ConfigError
from pubsub_common.files import read_file, write_atomically
from pubsub_perf.folder_files import MAX_RECORD_BYTES


def read(name: str | None, key: str) -> dict[str, Any] | None:
    """An earlier result, which has ``key``; None without a ``name``.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    if name is None:
        return None
    try:
        found = msgspec.json.decode(read_file(name, MAX_RECORD_BYTES))
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name} is not a result of bench --out: {error}") from error
    if not isinstance(found, dict) or key not in found:
        raise ConfigError(f"{name} is not a result of bench --out")
    return found


def write(name: str | None, found: dict[str, Any]) -> None:
    """Write a result, if there is a ``name``."""
    if name is not None:
        text = msgspec.json.format(msgspec.json.encode(found), indent=2)
        write_atomically(Path(name), text + b"\n")
