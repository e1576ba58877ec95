"""What the kernel tells of one TCP connection of this process (Linux)."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final, NamedTuple

# Of ``struct tcp_info``: milliseconds since data was sent and received, and all bytes that
# were received (as of Linux 4.1).
_FIELDS: Final = struct.Struct("=44xI4xI72xQ")


class TcpInfo(NamedTuple):
    """``received`` bytes in all; nothing has passed for ``idle_s`` seconds."""

    received: int
    idle_s: float


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
            answer = self._socket.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _FIELDS.size
            )
            sent_ms, received_ms, received = _FIELDS.unpack(answer)
        except (OSError, struct.error):
            return None
        return TcpInfo(received, min(sent_ms, received_ms) / 1000)

    def release(self) -> None:
        """Ask no more. The descriptor stays as it is."""
        with contextlib.suppress(OSError):
            self._socket.detach()
