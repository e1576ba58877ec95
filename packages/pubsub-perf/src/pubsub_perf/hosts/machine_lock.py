"""Names that one process of a machine holds at a time, for as long as it runs.

A lock is an abstract Unix socket of this name: the kernel takes it back when the process
ends, however it ends. It holds within a network namespace. Where there are no abstract
sockets, it is a lock on a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ABSTRACT: Final = sys.platform.startswith("linux")
_CREDENTIALS: Final = struct.Struct("3i")


class AlreadyHeld(Exception):
    """Another process holds the lock: ``pid``, where the kernel tells."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"held by process {pid}" if pid else "held")
        self.pid = pid


@contextlib.contextmanager
def held(name: str, *, abstract: bool = _ABSTRACT) -> Iterator[None]:
    """Hold the lock ``name`` in this block. Processes that are started in it do not.

    Raises:
        AlreadyHeld: another process holds it.
    """
    with _socket(name) if abstract else _file(name):
        yield


@contextlib.contextmanager
def _socket(name: str) -> Iterator[None]:
    address = f"\0{name}"
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(address)
        except OSError:
            raise AlreadyHeld(_holder(address)) from None
        lock.listen()  # so that others can ask for its owner
        yield


def _holder(address: str) -> int | None:
    with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
        other.setblocking(False)
        other.connect(address)
        size = _CREDENTIALS.size
        found = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid: int = _CREDENTIALS.unpack(found)[0]
        return pid or None  # 0: it is in another PID namespace
    return None


@contextlib.contextmanager
def _file(name: str) -> Iterator[None]:
    path = Path(tempfile.gettempdir(), f"{name}.lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyHeld(None) from None
        yield
    finally:
        os.close(descriptor)
