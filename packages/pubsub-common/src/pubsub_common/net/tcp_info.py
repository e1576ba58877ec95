"""Reads the kernel's information on one TCP connection of this process (Linux)."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final, NamedTuple

# Fields of ``struct tcp_info``, which grows with the kernel. Since Linux 4.1:
# unacknowledged segments, milliseconds since data was sent and received, and all bytes
# that were acknowledged and received.
_FIELDS: Final = struct.Struct("=24xI16xI4xI64xQQ")
# Since Linux 4.6: unsent bytes.
_UNSENT: Final = struct.Struct("=144xI")


class TcpInfo(NamedTuple):
    """``received`` bytes in total; no data has passed for ``idle_s`` seconds. The other
    side has ``acknowledged`` this many bytes in total; ``unacknowledged`` segments are
    under way, and ``unsent`` bytes wait (None: the kernel is too old)."""

    received: int
    idle_s: float
    acknowledged: int
    unacknowledged: int
    unsent: int | None


def tcp_info(connection: socket.socket) -> TcpInfo | None:
    """The information on a connection; None: the kernel is too old.

    Raises:
        OSError: it is not a TCP connection (any more).
    """
    answer = connection.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, max(_FIELDS.size, _UNSENT.size)
    )
    return parse(answer)


def parse(answer: bytes) -> TcpInfo | None:
    """Decode the kernel's answer; None: too short."""
    if len(answer) < _FIELDS.size:
        return None
    unacknowledged, sent_ms, received_ms, acknowledged, received = _FIELDS.unpack_from(
        answer
    )
    unsent: int | None = None
    if len(answer) >= _UNSENT.size:
        (unsent,) = _UNSENT.unpack_from(answer)
    idle_s = min(sent_ms, received_ms) / 1000
    return TcpInfo(received, idle_s, acknowledged, unacknowledged, unsent)


class ConnectionInfo:
    """Reads about the connection on a descriptor that another component owns, here
    libzmq. It has no descriptor of its own, which would keep the connection open. If
    the number is reused meanwhile, the answer is about the new connection, or None."""

    def __init__(self, fd: int) -> None:
        """Raises:
        OSError: it is not a socket.
        """
        self._socket = socket.socket(fileno=fd)

    def read(self) -> TcpInfo | None:
        """The information; None if there is none."""
        try:
            return tcp_info(self._socket)
        except OSError:
            return None

    def release(self) -> None:
        """Stop reading. The descriptor stays unchanged."""
        with contextlib.suppress(OSError):
            self._socket.detach()
