"""Publishers for which no socket could be opened, and when to retry."""

from __future__ import annotations

import logging
from typing import Final

import zmq

from pubsub_common.logs.throttle import LogThrottle

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class SocketRetries:
    """When all files or sockets are in use, publishers that have a socket keep it.
    ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._addresses: dict[str, None] = {}
        self._retry_at = 0.0
        self._throttle = LogThrottle()

    def add(self, address: str, error: zmq.ZMQError, now: float) -> None:
        """No socket could be opened for this publisher."""
        self._addresses[address] = None
        self._retry_at = now + _RETRY_S
        if self._throttle.allows("without_socket", now):
            _log.error(
                "cannot open a socket for publisher %s: %s. Raise `ulimit -n` or lower "
                "--max-clients; retrying",
                address,
                error.strerror,
            )

    def cancel(self, address: str) -> None:
        """The publisher has left."""
        self._addresses.pop(address, None)

    def take(self) -> list[str]:
        """The publishers to retry now."""
        addresses, self._addresses = self._addresses, {}
        return list(addresses)

    def due(self) -> float | None:
        """When to retry; None without publishers."""
        return self._retry_at if self._addresses else None
