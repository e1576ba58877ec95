"""What the kernel tells of one TCP connection of this process (Linux)."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final, NamedTuple

# Fields of ``struct tcp_info``, which grows with the kernel. As of Linux 4.1: segments that are
# not acknowledged, milliseconds since data was sent and received, and all bytes that were
# acknowledged and received.
_FIELDS: Final = struct.Struct("=24xI16xI4xI64xQQ")
# As of Linux 4.6: bytes that were not sent yet.
_UNSENT: Final = struct.Struct("=144xI")


class TcpInfo(NamedTuple):
    """``received`` bytes in all; nothing has passed for ``idle_s`` seconds. The other side has
    ``acknowledged`` so many bytes in all; ``unacknowledged`` segments are on their way, and
    ``unsent`` bytes wait for that (None: the kernel is too old to say)."""

    received: int
    idle_s: float
    acknowledged: int
    unacknowledged: int
    unsent: int | None


def tcp_info(connection: socket.socket) -> TcpInfo | None:
    """What there is to know of a connection; None: the kernel is too old to say.

    Raises:
        OSError: that is no TCP connection (any more).
    """
    answer = connection.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, max(_FIELDS.size, _UNSENT.size)
    )
    return parse(answer)


def parse(answer: bytes) -> TcpInfo | None:
    """What the kernel's answer says; None: too little."""
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
    """Asks about the connection on a descriptor that belongs to somebody else, here libzmq.
    It has no descriptor of its own, which would keep the connection open: should that
    one's number be used for something else meanwhile, the answer is about that, or
    None."""

    def __init__(self, fd: int) -> None:
        """Raises:
        OSError: that is no socket.
        """
        self._socket = socket.socket(fileno=fd)

    def read(self) -> TcpInfo | None:
        """What there is to know; None: nothing."""
        try:
            return tcp_info(self._socket)
        except OSError:
            return None

    def release(self) -> None:
        """Ask no more. The descriptor stays as it is."""
        with contextlib.suppress(OSError):
            self._socket.detach()
