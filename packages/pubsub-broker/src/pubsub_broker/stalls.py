"""Which subscriber does not read, of those at a port of the broker. Core."""

from __future__ import annotations

from pubsub_common.tcptable import address_of, connections_of


def slowest_reader(port: int, table: str) -> tuple[str, int] | None:
    """``IP:port`` of the peer of local TCP port ``port`` for which the kernel holds most
    bytes, and how many; None when there are none. ``table`` is the text of
    ``/proc/net/tcp``."""
    slowest = max(connections_of(port, table), key=lambda row: row.unsent, default=None)
    if slowest is None or not slowest.unsent:
        return None
    return address_of(slowest.remote), slowest.unsent
