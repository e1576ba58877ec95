"""Identifies the place in which processes can share memory."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
from pathlib import Path
from typing import Final

from pubsub_common.defaults import SharedMemory

MEMORY: Final = Path("/dev/shm")  # nosec B108  # where iceoryx2 has its memory
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NETWORK: Final = Path("/proc/self/ns/net")
_ID_BYTES: Final = 8


def place_for(option: SharedMemory, *, secure: bool) -> str | None:
    """The `place_id`, if the ``option`` of a client wants shared memory and the extra is
    installed; else None. Imports nothing."""
    wanted = option == "on" or (option == "auto" and not secure)
    if not wanted or importlib.util.find_spec("iceoryx2") is None:
        return None
    return place_id()


@functools.cache
def place_id() -> str | None:
    """An identifier of this machine since its start, this network namespace, this user, and
    the file system of shared memory: processes with the same one can share memory. None
    where that is not possible."""
    try:
        network = _NETWORK.stat()
        parts = (
            _BOOT_ID.read_text("ascii").strip(),
            network.st_dev,
            network.st_ino,
            os.getuid(),
            MEMORY.stat().st_dev,
        )
    except OSError:
        return None
    # A digest of the parts: random seeds itself with their SHA-512. The module hashlib would load
    # OpenSSL, 3.4 MiB of every idle client.
    source = random.Random(repr(parts))  # nosec B311  # not a secret
    digest = source.getrandbits(8 * _ID_BYTES)
    return f"{digest:0{2 * _ID_BYTES}x}"
