"""TCP ports of loopback: free ones, and whether a program listens on one."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from pubsub_common.errors import PubSubError


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that were free a moment ago."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found


def wait_for_port(port: int, timeout_s: float) -> None:
    """Wait until a program listens on loopback at ``port``.

    Raises:
        PubSubError: none did in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise PubSubError(f"no program listens on port {port}")
