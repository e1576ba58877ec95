"""Free TCP ports of this host."""

from __future__ import annotations

import socket

from pubsub_common.net.addresses import family_of
from pubsub_common.protocol.endpoints import bare


class ClearPorts:
    """Free ports of an IP address, each handed out once."""

    def __init__(self) -> None:
        self.taken: set[int] = set()

    def take(self, host: str) -> int:
        """A port of ``host`` that is free and was not handed out before."""
        while True:
            with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
                probe.bind((bare(host), 0))
                port: int = probe.getsockname()[1]
            if port not in self.taken:
                self.taken.add(port)
                return port
