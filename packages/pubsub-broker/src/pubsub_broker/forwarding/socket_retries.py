"""Publishers for which there was no socket, and when to try again."""

from __future__ import annotations

import logging
from typing import Final

import zmq

from pubsub_common.logs.throttle import LogThrottle

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0


class SocketRetries:
    """All files or sockets are taken; that is not a reason to leave publishers that have
    one. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._addresses: dict[str, None] = {}
        self._retry_at = 0.0
        self._throttle = LogThrottle()

    def add(self, address: str, error: zmq.ZMQError, now: float) -> None:
        """There was none for this one."""
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
        """It has left."""
        self._addresses.pop(address, None)

    def take(self) -> list[str]:
        """Those to try again now."""
        addresses, self._addresses = self._addresses, {}
        return list(addresses)

    def due(self) -> float | None:
        """When to try again; None: there is none."""
        return self._retry_at if self._addresses else None
