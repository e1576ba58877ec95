"""What the broker reports of a client: its state, and its publishers' clocks."""

from __future__ import annotations

from pubsub_broker.registry.interface import Client, Registry
from pubsub_common.protocol.messages import ClientStatus, ClockRange


def client_status(client: Client, now: float) -> ClientStatus:
    """A client's line in a status report at ``now``, seconds of the registry's clock."""
    return ClientStatus(
        role=client.role,
        session=client.session,
        address=client.address,
        topics=list(client.topics),
        idle_s=now - client.renewed_at,
        lost=dict(client.lost),
        rates=None if client.published is None else client.published.rates(),
        latency=client.latency,
    )


def clocks_of(registry: Registry, client: Client) -> ClockRange | None:
    """Where the clocks of a subscriber's publishers are; None when one is not known,
    or there is none."""
    if client.role != "subscriber":
        return None
    low_ns: int | None = None
    high_ns: int | None = None
    for publisher in registry.matching("publisher", client.topics):
        offset = publisher.offset
        if offset is None:
            return None
        low, high = (
            offset.offset_ns - offset.bound_ns,
            offset.offset_ns + offset.bound_ns,
        )
        low_ns = low if low_ns is None else min(low_ns, low)
        high_ns = high if high_ns is None else max(high_ns, high)
    if low_ns is None or high_ns is None:
        return None
    return ClockRange(low_ns=low_ns, high_ns=high_ns)
